/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libwebsockets: /echo and /fanout, told apart by path. The argument is the port. One message of a
 * connection waits at a time for its turn to write, as the library wants it; so what is owed is
 * kept in a list for each connection.
 */
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct message {
    struct message *next;
    size_t size;
    int is_binary;
    unsigned char data[]; /* LWS_PRE bytes of room, then the payload */
};

struct session {
    struct lws *wsi;
    struct session *next; /* in the room */
    struct message *first;
    struct message **last;
    struct message *part; /* what has come of a message so far */
    int is_fanout;
};

static struct session *room;

static struct message *copy(const struct message *from)
{
    struct message *made = malloc(sizeof(*made) + LWS_PRE + from->size);
    if (made != NULL) {
        memcpy(made, from, sizeof(*made) + LWS_PRE + from->size);
        made->next = NULL;
    }
    return made;
}

static void owe(struct session *session, struct message *message)
{
    if (message == NULL) {
        return;
    }
    *session->last = message;
    session->last = &message->next;
    lws_callback_on_writable(session->wsi);
}

/* Appends a fragment of what the library hands out. */
static void gather(struct session *session, struct lws *wsi, const void *in, size_t size)
{
    const size_t before = session->part == NULL ? 0 : session->part->size;
    struct message *grown = realloc(session->part, sizeof(*grown) + LWS_PRE + before + size);
    if (grown == NULL) {
        return;
    }
    grown->next = NULL;
    grown->size = before + size;
    grown->is_binary = lws_frame_is_binary(wsi);
    memcpy(grown->data + LWS_PRE + before, in, size);
    session->part = grown;
}

static void finish(struct session *session)
{
    struct message *message = session->part;
    session->part = NULL;
    if (!session->is_fanout) {
        owe(session, message);
        return;
    }
    for (struct session *one = room; one != NULL; one = one->next) {
        owe(one, copy(message));
    }
    free(message);
}

static int write_next(struct session *session, struct lws *wsi)
{
    struct message *message = session->first;
    if (message == NULL) {
        return 0;
    }
    session->first = message->next;
    if (session->first == NULL) {
        session->last = &session->first;
    }
    const int written = lws_write(wsi, message->data + LWS_PRE, message->size,
                                  message->is_binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
    const int failed = written < (int)message->size;
    free(message);
    if (session->first != NULL) {
        lws_callback_on_writable(wsi);
    }
    return failed ? -1 : 0;
}

static void leave(struct session *session)
{
    struct session **at = &room;
    while (*at != NULL && *at != session) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = session->next;
    }
    while (session->first != NULL) {
        struct message *message = session->first;
        session->first = message->next;
        free(message);
    }
    free(session->part);
}

static int serve(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                 size_t size)
{
    struct session *session = user;
    char path[32] = "";

    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        lws_hdr_copy(wsi, path, sizeof(path), WSI_TOKEN_GET_URI);
        *session = (struct session){.wsi = wsi, .is_fanout = strcmp(path, "/fanout") == 0};
        session->last = &session->first;
        if (session->is_fanout) {
            session->next = room;
            room = session;
        }
        return 0;
    case LWS_CALLBACK_RECEIVE:
        gather(session, wsi, in, size);
        if (lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0 &&
            session->part != NULL) {
            finish(session);
        }
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return write_next(session, wsi);
    case LWS_CALLBACK_CLOSED:
        leave(session);
        return 0;
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = {
        {"bench", serve, sizeof(struct session), 65536, 0, NULL, 0},
        {NULL, NULL, 0, 0, 0, NULL, 0},
    };
    const struct lws_context_creation_info info = {
        .port = argc > 1 ? atoi(argv[1]) : 0,
        .iface = "127.0.0.1",
        .protocols = protocols,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
    };
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    if (context == NULL) {
        return 1;
    }
    puts("ready");
    fflush(stdout);
    while (lws_service(context, 0) >= 0) {
    }
    lws_context_destroy(context);
    return 0;
}
