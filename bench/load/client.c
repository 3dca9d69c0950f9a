/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/floor.h"
#include "bench/load/run.h"
#include "bench/load/session.h"
#include "bench/load/tokens.h"
#include "bench/load/worker.h"
#include "core/check.h"
#include "net/conn.h"
#include "net/dialer.h"
#include "net/packet.h"
#include "net/reactor.h"
#include "proto/close.h"
#include "proto/frame.h"
#include "proto/json_writer.h"
#include "proto/mask.h"
#include "proto/permessage.h"
#include "proto/upgrade_client.h"

enum {
    REQUEST_SIZE_MAX = 4096, /* bytes */
    COMMANDS_SIZE_MAX = 1024 + TOKENS_SIZE_MAX,
    LINGER_MS = 1000, /* for the server's close frame */
    ASSEMBLY_SIZE_MIN = 4096,
};

static const struct options *options_of(const struct client *client)
{
    return client->worker->run->options;
}

static bool is_tcp(const struct client *client)
{
    return options_of(client)->target.scheme == TARGET_TCP;
}

static bool has_session(const struct client *client)
{
    return options_of(client)->scenario == OPTIONS_CHAT || options_of(client)->session;
}

/* -- sending ----------------------------------------------------------------------------------- */

/* Queues what it takes one reference of. */
static void queue(struct client *client, struct packet *packet) ON_REACTOR
{
    tally_add(&client->worker->tally, TALLY_BYTES_SENT, packet_bytes(packet).size);
    if (conn_queue(client->conn, packet, CONN_NORMAL) == CONN_TOO_SLOW) {
        client_fail(client); /* more is waiting than we allow: the server does not read */
    }
    packet_unref(packet);
}

static struct packet *make_packet(struct client *client, size_t size) ON_REACTOR
{
    struct packet *packet = packet_create(reactor_packets(client->worker->reactor), size);
    if (packet == NULL) {
        client_fail(client);
    }
    return packet;
}

static void queue_bytes(struct client *client, struct bytes bytes) ON_REACTOR
{
    struct packet *packet = make_packet(client, bytes.size);
    if (packet != NULL) {
        memcpy(packet_span(packet).data, bytes.data, bytes.size);
        queue(client, packet);
    }
}

static void queue_frame(struct client *client, enum frame_opcode opcode, struct bytes payload)
    ON_REACTOR
{
    struct worker *worker = client->worker;
    const uint32_t random = (uint32_t)worker_random(worker);
    uint8_t key[4];
    uint8_t header[FRAME_HEADER_SIZE_MAX];
    memcpy(key, &random, sizeof(key));

    const size_t header_size = frame_write_client_header(opcode, payload.size, key, header);
    struct packet *packet = make_packet(client, header_size + payload.size);
    if (packet == NULL) {
        return;
    }
    uint8_t *at = packet_span(packet).data;
    memcpy(at, header, header_size);
    if (payload.size > 0) {
        struct mask mask = mask_start(key);
        memcpy(at + header_size, payload.data, payload.size);
        mask_apply(worker->run->simd, &mask, (struct span){at + header_size, payload.size});
    }
    queue(client, packet);
}

/* A publish of the payload, which gets its quotes where it lies. */
static void send_publish(struct client *client, struct span payload) ON_REACTOR
{
    payload.data[-1] = '"';
    payload.data[payload.size] = '"';
    const struct bytes data = {payload.data - 1, payload.size + 2};
    struct json_writer writer;

    uint8_t *room = client->worker->scratch + client->worker->scratch_size / 2;
    json_writer_init(&writer, (struct span){room, client->worker->scratch_size / 2});
    session_write_publish(client, data, &writer);
    CHECK(json_writer_fits(&writer));
    queue_frame(client, FRAME_TEXT, json_writer_bytes(&writer));
}

void client_send(struct client *client, struct span payload)
{
    CHECK(client->state == CLIENT_READY);
    const struct bytes bytes = {payload.data, payload.size};

    if (is_tcp(client)) {
        queue_bytes(client, bytes);
    } else if (has_session(client)) {
        send_publish(client, payload);
    } else {
        queue_frame(client, options_of(client)->binary ? FRAME_BINARY : FRAME_TEXT, bytes);
    }
}

/* -- the handshake ----------------------------------------------------------------------------- */

static struct upgrade_client_request request_of(const struct client *client)
{
    const struct options *options = options_of(client);
    struct upgrade_client_request request = {
        .host = options->target.host,
        .path = options->target.path,
        .protocol = options->subprotocol,
        .compression = options->compress,
        .extra = options->extra_head[0] == '\0' ? NULL : options->extra_head,
    };
    memcpy(request.nonce, client->nonce, sizeof(request.nonce));
    return request;
}

static void send_request(struct client *client) ON_REACTOR
{
    uint8_t head[REQUEST_SIZE_MAX];
    const uint64_t random[2] = {worker_random(client->worker), worker_random(client->worker)};
    memcpy(client->nonce, random, sizeof(client->nonce));

    const struct upgrade_client_request request = request_of(client);
    const size_t size = upgrade_client_write(&request, (struct span){head, sizeof(head)});
    CHECK(size > 0);
    queue_bytes(client, (struct bytes){head, size});
}

static void become_ready(struct client *client) ON_REACTOR
{
    struct worker *worker = client->worker;

    CHECK(worker->dialling > 0);
    worker->dialling--;
    client->state = CLIENT_READY;
    tally_add(&worker->tally, TALLY_CONNECTED, 1);
    tally_add(&worker->tally, TALLY_CONNECTS, 1);
    if (worker->scenario->on_ready != NULL) {
        worker->scenario->on_ready(client);
    }
}

void client_send_commands(struct client *client,
                          void (*write)(struct client *client, struct json_writer *writer))
{
    uint8_t text[COMMANDS_SIZE_MAX];
    struct json_writer writer;

    json_writer_init(&writer, (struct span){text, sizeof(text)});
    write(client, &writer);
    CHECK(json_writer_fits(&writer));
    queue_frame(client, FRAME_TEXT, json_writer_bytes(&writer));
}

static void begin_frames(struct client *client) ON_REACTOR
{
    stream_init(&client->stream, &client->worker->limits);
    if (!has_session(client)) {
        become_ready(client);
        return;
    }
    client->state = CLIENT_OPENING;
    client->command = 0;
    client_send_commands(client, session_write_opening);
}

void client_is_subscribed(struct client *client)
{
    if (client->state == CLIENT_OPENING) {
        become_ready(client);
    }
}

/* Bytes of `in` that were the head of the answer; 0: not whole yet, or the end of it. */
static size_t read_answer(struct client *client, struct span in) ON_REACTOR
{
    const struct upgrade_client_request request = request_of(client);
    size_t head_size = 0;
    unsigned status = 0;

    switch (upgrade_client_read((struct bytes){in.data, in.size}, &request, &head_size, &status)) {
    case UPGRADE_CLIENT_OK:
        begin_frames(client);
        return head_size;
    case UPGRADE_CLIENT_NEED_MORE:
        return 0;
    case UPGRADE_CLIENT_REFUSED:
    case UPGRADE_CLIENT_BAD_ANSWER:
        break;
    }
    client_fail(client);
    return 0;
}

/* The floor's answer to a request, for which read_answer() has a real one to read. */
static size_t read_floor_reply(struct client *client, struct span in) ON_REACTOR
{
    const size_t size = in.size < FLOOR_REPLY_SIZE ? in.size : FLOOR_REPLY_SIZE;

    if (in.size > FLOOR_REPLY_SIZE || memcmp(in.data, FLOOR_REPLY, size) != 0) {
        client_fail(client);
        return in.size;
    }
    if (in.size < FLOOR_REPLY_SIZE) {
        return 0;
    }
    become_ready(client);
    return in.size;
}

/* -- frames ------------------------------------------------------------------------------------ */

void client_deliver(struct client *client, const struct scenario_delivery *delivery)
{
    const struct scenario_ops *scenario = client->worker->scenario;

    if (client->state == CLIENT_READY && scenario->on_delivery != NULL) {
        scenario->on_delivery(client, delivery);
    }
}

/* A message that is a payload and nothing else. */
static void deliver_raw(struct client *client, struct bytes message) ON_REACTOR
{
    const struct scenario_delivery delivery = {.payload = message, .message = message};
    client_deliver(client, &delivery);
}

static bool recognises(struct client *client, struct bytes message) ON_REACTOR
{
    const struct scenario_ops *scenario = client->worker->scenario;

    return client->state == CLIENT_READY && scenario->recognises != NULL &&
           scenario->recognises(client, message);
}

static void take_payload(struct client *client, struct span payload) ON_REACTOR
{
    const struct bytes message = {payload.data, payload.size};

    if (recognises(client, message)) {
        /* Nothing is left to be done. */
    } else if (has_session(client)) {
        session_take(client, payload);
    } else {
        deliver_raw(client, message);
    }
}

/* That it is what was sent says more than that it is UTF-8. */
static void take_compressed(struct client *client, struct bytes compressed) ON_REACTOR
{
    struct span message;

    if (permessage_inflate(client->worker->inflater, compressed,
                           client->worker->limits.message_size_max, &message) != PERMESSAGE_OK) {
        client_fail(client);
        return;
    }
    take_payload(client, message);
    permessage_inflater_rest(client->worker->inflater);
}

static void take_message(struct client *client, const struct stream_event *event) ON_REACTOR
{
    if (event->is_compressed) {
        take_compressed(client, (struct bytes){event->payload.data, event->payload.size});
    } else {
        take_payload(client, event->payload);
    }
    if (event->is_assembled) {
        free(stream_take_assembly(&client->stream).data);
    }
}

/* The server said goodbye; we answer, and that is the end. */
static void take_close(struct client *client, uint16_t code) ON_REACTOR
{
    client->close_code = code;
    if (client->state != CLIENT_LEAVING) {
        queue_frame(client, FRAME_CLOSE, (struct bytes){NULL, 0});
    }
    if (!conn_is_closing(client->conn)) {
        conn_close(client->conn, LINGER_MS);
    }
}

static bool give_room(struct client *client, size_t needed) ON_REACTOR
{
    const struct span present = stream_assembly(&client->stream);
    size_t room = present.size < ASSEMBLY_SIZE_MIN ? ASSEMBLY_SIZE_MIN : 2 * present.size;
    room = room < needed ? needed : room;
    uint8_t *grown = realloc(present.data, room);
    if (grown == NULL) {
        client_fail(client);
        return false;
    }
    stream_give_room(&client->stream, grown, room);
    return true;
}

static size_t read_frames(struct client *client, struct span in) ON_REACTOR
{
    struct span rest = in;

    while (!conn_is_closing(client->conn)) {
        struct stream_event event;
        switch (stream_next(&client->stream, client->worker->run->simd, &rest, &event)) {
        case STREAM_NEED_MORE:
            return in.size - rest.size;
        case STREAM_NEED_ROOM:
            if (!give_room(client, event.room_needed)) {
                return in.size;
            }
            break;
        case STREAM_MESSAGE:
            take_message(client, &event);
            break;
        case STREAM_PING:
            queue_frame(client, FRAME_PONG, (struct bytes){event.payload.data, event.payload.size});
            break;
        case STREAM_PONG:
            break;
        case STREAM_CLOSE:
            take_close(client, event.close_code);
            return in.size;
        case STREAM_PROTOCOL_ERROR:
        case STREAM_INVALID_UTF8:
        case STREAM_TOO_BIG:
        case STREAM_TOO_MANY_FRAGMENTS:
            client_fail(client);
            return in.size;
        }
    }
    return in.size;
}

/* tcp:// has messages of one size, and nothing between them. */
static size_t read_pieces(struct client *client, struct span in) ON_REACTOR
{
    const size_t size = options_of(client)->sizes.ranges[0].min;
    size_t done = 0;

    while (in.size - done >= size && client->state == CLIENT_READY) {
        const struct bytes piece = {in.data + done, size};
        if (!recognises(client, piece)) {
            deliver_raw(client, piece);
        }
        done += size;
    }
    return client->state == CLIENT_READY ? done : in.size;
}

/* -- upcalls ----------------------------------------------------------------------------------- */

static void *on_open(struct conn *conn) ON_REACTOR
{
    struct client *client = conn_user(conn);

    client->conn = conn;
    client->state = CLIENT_HANDSHAKE;
    client->close_code = 0;
    client->worker->dialling++;
    conn_set_large(conn, true);
    if (is_tcp(client) && options_of(client)->scenario != OPTIONS_CONNECT) {
        become_ready(client);
    } else {
        send_request(client);
    }
    return client;
}

static size_t on_bytes(struct conn *conn, struct span in) ON_REACTOR
{
    struct client *client = conn_user(conn);
    size_t used = 0;

    if (is_tcp(client)) {
        used = client->state == CLIENT_HANDSHAKE ? read_floor_reply(client, in)
                                                 : read_pieces(client, in);
    } else {
        if (client->state == CLIENT_HANDSHAKE) {
            used = read_answer(client, in);
        }
        if (client->state != CLIENT_HANDSHAKE && !conn_is_closing(conn)) {
            used += read_frames(client, (struct span){in.data + used, in.size - used});
        }
    }
    tally_add(&client->worker->tally, TALLY_BYTES_RECEIVED, used);
    return used;
}

/* The first one of a worker is kept for the report. */
static void keep_fault(struct worker *worker, const char *topic, const char *fault)
{
    if (!atomic_load_explicit(&worker->has_fault, memory_order_relaxed)) {
        (void)snprintf(worker->fault, sizeof(worker->fault), "%s: %s", topic, fault);
        /* Pairs with the acquire in run.c. */
        atomic_store_explicit(&worker->has_fault, true, memory_order_release);
    }
}

static void on_close(struct conn *conn, int reason) ON_REACTOR
{
    struct client *client = conn_user(conn);
    struct worker *worker = client->worker;
    const bool was_ready = client->state == CLIENT_READY;
    (void)reason;

    if (conn_tls_fault(conn) != NULL) {
        keep_fault(worker, "TLS", conn_tls_fault(conn));
    }
    if (client->state == CLIENT_HANDSHAKE || client->state == CLIENT_OPENING) {
        CHECK(worker->dialling > 0);
        worker->dialling--;
        tally_add(&worker->tally, TALLY_CONNECT_FAILED, 1);
    } else {
        tally_subtract(&worker->tally, TALLY_CONNECTED, 1);
    }
    if (was_ready) {
        tally_add(&worker->tally, TALLY_CLOSED, 1);
        tally_add_code(&worker->tally,
                       client->close_code == 0 ? CLOSE_ABNORMAL : client->close_code);
    }
    free(stream_take_assembly(&client->stream).data);
    client->conn = NULL;
    client->state = CLIENT_GONE;
    if (worker->scenario->on_closed != NULL) {
        worker->scenario->on_closed(client, was_ready);
    }
}

void client_set_handler(struct worker *worker, struct conn_handler *handler)
{
    *handler = (struct conn_handler){
        .on_open = on_open, .on_bytes = on_bytes, .on_close = on_close, .context = worker};
}

/* -- life -------------------------------------------------------------------------------------- */

/* 127.0.0.2 and up: each source address has ports of its own. */
static struct address source_of(const struct client *client)
{
    const uint32_t sources = options_of(client)->sources;
    struct address source = {0};

    if (sources > 0 && address_is_loopback(&options_of(client)->target.address)) {
        const uint32_t at = (uint32_t)(worker_random(client->worker) % sources);
        source.v4 = (struct sockaddr_in){.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + at)};
        source.size = sizeof(source.v4);
    }
    return source;
}

int client_dial(struct client *client)
{
    CHECK(client->state == CLIENT_GONE);
    const struct dialer_options options = {.target = options_of(client)->target.address,
                                           .source = source_of(client)};
    int fd = -1;
    const int result = dialer_open(&options, &fd);
    if (result != 0) {
        return result;
    }
    client->stream = (struct stream){0};
    client->dialled_ns = reactor_now(client->worker->reactor);
    return reactor_dial(client->worker->reactor, fd, client->worker->dialer, client) == NULL
               ? -ENOBUFS
               : 0;
}

/* From here on whatever happens to the connection is wanted. */
static void begin_leaving(struct client *client) ON_REACTOR
{
    if (client->state == CLIENT_HANDSHAKE || client->state == CLIENT_OPENING) {
        client->worker->dialling--;
        tally_add(&client->worker->tally, TALLY_CONNECTED, 1); /* on_close takes it back */
    }
    client->state = CLIENT_LEAVING;
}

void client_leave(struct client *client, bool reset)
{
    if (client->state == CLIENT_GONE || client->state == CLIENT_LEAVING) {
        return;
    }
    const bool has_frames = !is_tcp(client) && client->state != CLIENT_HANDSHAKE;
    begin_leaving(client);
    if (reset || !has_frames) {
        conn_close(client->conn, 0);
        return;
    }
    static const uint8_t normal[2] = {0x03, 0xe8}; /* 1000 */
    queue_frame(client, FRAME_CLOSE, (struct bytes){normal, sizeof(normal)});
    conn_close(client->conn, LINGER_MS);
}

void client_refuse(struct client *client, const char *fault)
{
    keep_fault(client->worker, "--recover", fault);
    client_fail(client);
}

void client_fail(struct client *client)
{
    if (!conn_is_closing(client->conn)) {
        tally_add(&client->worker->tally, TALLY_ERRORS, 1);
        conn_abort(client->conn, -EPROTO);
    }
}
