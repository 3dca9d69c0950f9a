/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "bench/load/client_private.h"
#include "bench/load/session.h"
#include "bench/load/tokens.h"
#include "core/check.h"
#include "net/conn.h"
#include "net/packet.h"
#include "net/reactor.h"
#include "proto/json_writer.h"
#include "proto/mask.h"
#include "proto/permessage.h"

enum {
    COMMANDS_SIZE_MAX = TOKENS_SIZE_MAX + 1024, /* bytes */
    ASSEMBLY_SIZE_MIN = 4096,
};

/* -- sending ----------------------------------------------------------------------------------- */

/* Queues what it takes one reference of. */
static void queue(struct client *client, struct packet *packet) ON_REACTOR
{
    tally_add(&client->worker->tally, TALLY_BYTES_SENT, packet_bytes(packet).size);
    if (conn_queue(client->conn, packet, CONN_NORMAL) == CONN_TOO_SLOW) {
        client_fail(client, CAUSE_UNREAD, 0);
    }
    packet_unref(packet);
}

static struct packet *make_packet(struct client *client, size_t size) ON_REACTOR
{
    struct packet *packet = packet_create(reactor_packets(client->worker->reactor), size);
    if (packet == NULL) {
        client_fail(client, CAUSE_MEMORY, 0);
    }
    return packet;
}

void client_queue_bytes(struct client *client, struct bytes bytes)
{
    struct packet *packet = make_packet(client, bytes.size);
    if (packet != NULL) {
        memcpy(packet_span(packet).data, bytes.data, bytes.size);
        queue(client, packet);
    }
}

void client_queue_frame(struct client *client, enum frame_opcode opcode, struct bytes payload)
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
    client_queue_frame(client, FRAME_TEXT, json_writer_bytes(&writer));
}

void client_send(struct client *client, struct span payload)
{
    CHECK(client->state == CLIENT_READY);
    const struct bytes bytes = {payload.data, payload.size};

    if (client_is_tcp(client)) {
        client_queue_bytes(client, bytes);
    } else if (client_has_session(client)) {
        send_publish(client, payload);
    } else {
        client_queue_frame(client, client_options(client)->binary ? FRAME_BINARY : FRAME_TEXT,
                           bytes);
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
    client_queue_frame(client, FRAME_TEXT, json_writer_bytes(&writer));
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
    } else if (client_has_session(client)) {
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
        client_fail(client, CAUSE_COMPRESSED, 0);
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
        client_queue_frame(client, FRAME_CLOSE, (struct bytes){NULL, 0});
    }
    if (client->state == CLIENT_READY) {
        tally_add(&client->worker->tally, TALLY_CLOSED, 1);
        tally_add_cause(&client->worker->tally, CAUSE_CLOSED, code);
        client->state = CLIENT_CLOSED;
    }
    if (!conn_is_closing(client->conn)) {
        conn_close(client->conn, CLIENT_LINGER_MS);
    }
}

static bool give_room(struct client *client, size_t needed) ON_REACTOR
{
    const struct span present = stream_assembly(&client->stream);
    size_t room = present.size < ASSEMBLY_SIZE_MIN ? ASSEMBLY_SIZE_MIN : 2 * present.size;
    room = room < needed ? needed : room;
    uint8_t *grown = realloc(present.data, room);
    if (grown == NULL) {
        client_fail(client, CAUSE_MEMORY, 0);
        return false;
    }
    stream_give_room(&client->stream, grown, room);
    return true;
}

size_t client_read_frames(struct client *client, struct span in)
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
            client_queue_frame(client, FRAME_PONG,
                               (struct bytes){event.payload.data, event.payload.size});
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
            client_fail(client, CAUSE_FRAME, 0);
            return in.size;
        }
    }
    return in.size;
}

size_t client_read_pieces(struct client *client, struct span in)
{
    const size_t size = client_options(client)->sizes.ranges[0].min;
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
