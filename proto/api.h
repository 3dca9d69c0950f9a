/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_API_H
#define PROTO_API_H
/*
 * What a back end may ask over HTTP, in JSON: PROTOCOL.md section 8. Names of methods and members
 * are those of Centrifugo's HTTP API (its version 6).
 *
 * Pure: no I/O, no allocation. ANY_THREAD.
 * Views     a command borrows the body. Text with escapes and base64 are decoded in place, and
 *           newlines in embedded JSON are removed in place: a body can be read only once.
 * Absent    a text or value that was not sent has size 0.
 * Members   that we know and cannot do are refused by name, unless they say nothing (0, false, an
 *           empty text, null); such that nobody knows are skipped, as Centrifugo does.
 * Not here: which channels there are, and limits of single members (chat/); what is answered
 *           (api_result.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/command.h"
#include "proto/json.h"

struct simd_ops;

/* In the order in which the members of a command are looked at. */
enum api_method {
    API_PUBLISH = 0,
    API_BROADCAST,
    API_PRESENCE,
    API_PRESENCE_STATS,
    API_HISTORY,
    API_HISTORY_REMOVE,
    API_CHANNELS,
    API_INFO,
    API_RPC,
    API_SUBSCRIBE, /* from here on about the connections of a user */
    API_UNSUBSCRIBE,
    API_DISCONNECT,
    API_REFRESH,
    API_BLOCK_USER,
    API_UNBLOCK_USER,
    API_REVOKE_TOKEN,
    API_INVALIDATE_USER_TOKENS,
    API_RELOAD, /* about the server itself */
};

enum { API_METHOD_COUNT = API_RELOAD + 1 };

enum api_verdict {
    API_OK = 0,
    API_END,         /* of a list: nothing is left */
    API_BAD_REQUEST, /* not JSON, not UTF-8, not what the method takes: error 107; see `fault` */
    API_NO_METHOD,   /* a command without one that we know: error 104 */
};

struct api_publish {
    struct bytes channel;  /* publish */
    struct bytes channels; /* broadcast: JSON array, see struct api_list */
    struct bytes data;     /* JSON; what was sent as b64data, too */
    struct bytes b64data;  /* nothing after reading */
    struct bytes tags;     /* JSON object of strings */
    struct bytes key;      /* for idempotency */
    struct bytes version_epoch;
    uint64_t version; /* 0: none */
    bool skip_history;
    bool delta; /* a permission that nobody makes use of */
};

struct api_channel {
    struct bytes channel;
};

struct api_override {
    bool is_there;
    bool value;
};

struct api_overrides {
    struct api_override presence;
    struct api_override join_leave;
    struct api_override force_recovery;
    struct api_override force_positioning;
    struct api_override force_push_join_leave;
};

/* What there is of it is checked, and what a method cannot do without is there. */
struct api_user {
    struct bytes user;   /* else `client` is there */
    struct bytes client; /* only this connection */
    struct bytes channel;
    struct bytes info;      /* JSON; what was sent as b64info, too */
    struct bytes data;      /* JSON; what was sent as b64data, too */
    struct bytes uid;       /* of a token: its `jti` */
    struct bytes reason;    /* of a disconnect */
    struct bytes whitelist; /* JSON array, see struct api_list */
    int64_t expire_at_s;    /* Unix time; 0: never */
    int64_t issued_before_s;
    uint32_t code; /* of a disconnect, if has_disconnect */
    bool has_disconnect;
    bool expired;
    struct api_overrides overrides;

    /* For the reader: base64 is in `info` and `data`; a session or a position is refused. */
    struct bytes b64info;
    struct bytes b64data;
    struct bytes session; /* none of our connections has such a name */
    bool has_override;    /* `overrides` says what */
    bool has_position;    /* recover_since */
};

struct api_rpc {
    struct bytes method;
};

struct api_command {
    enum api_method method;
    const char *fault; /* API_BAD_REQUEST: the member that is wrong; NULL: none, or all of it */
    union {
        struct api_publish publish;  /* and broadcast */
        struct api_channel presence; /* and presence_stats, history_remove */
        struct api_channel channels; /* a pattern */
        struct api_user user;
        struct api_rpc rpc;
        struct command_history history;
    };
};

/* {"commands": [...], "parallel": true} */
struct api_batch {
    struct bytes commands; /* JSON array, see struct api_list */
    bool parallel;
};

/* A JSON array, element by element. Only api.c looks inside. */
struct api_list {
    struct span array;
    struct json_reader json;
    bool is_open;
};

/* The method of that name, or API_METHOD_COUNT. */
NODISCARD enum api_method api_find_method(struct bytes name);
NODISCARD const char *api_method_name(enum api_method method);

/*
 * The body of /api/METHOD; nothing is the same as {}. Only API_OK fills the command; of one that is
 * a bad request only `fault` is there.
 */
NODISCARD enum api_verdict api_read(const struct simd_ops *simd, enum api_method method,
                                    struct span body, struct api_command *command);

/* The body of /api/batch. */
NODISCARD enum api_verdict api_read_batch(const struct simd_ops *simd, struct span body,
                                          struct api_batch *batch);

/* One command as it is in a batch, or a line of a stream: {"METHOD": {...}}. */
NODISCARD enum api_verdict api_read_command(const struct simd_ops *simd, struct span text,
                                            struct api_command *command);

/* For `channels` and `commands`, which are part of the body that was lent. */
void api_list_init(struct api_list *list, struct bytes array);

/* The next one, decoded; API_BAD_REQUEST: it is no text, and was stepped over. */
NODISCARD enum api_verdict api_list_next_text(struct api_list *list, struct bytes *text);

/* The next one as it is, whatever it is. */
NODISCARD enum api_verdict api_list_next(struct api_list *list, struct span *value);

#endif /* PROTO_API_H */
