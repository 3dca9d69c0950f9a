/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_POST_H
#define CHAT_POST_H
/*
 * What travels on the bus between reactors: 64 bytes by value, naming blobs and handles.
 *
 * A post that names a blob hands over one share of it. Who may post what, and the role it has on
 * the bus (core/bus.h: ask, answer, tell), stands beside each kind. Pure. ANY_THREAD.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "chat/ids.h"
#include "chat/quota.h"
#include "core/blob.h"
#include "core/bus.h"

struct archive_batch;
struct archive_page;
struct jwks;
struct settings;

enum post_kind {
    POST_PUBLISH = 1,     /* ask     publisher's reactor -> home */
    POST_PUBLISH_ANSWER,  /* answer  home -> publisher's reactor */
    POST_INTEREST,        /* ask     reactor with a first subscriber -> home */
    POST_INTEREST_ANSWER, /* answer  home -> that reactor */
    POST_LEAVE,           /* tell    reactor whose last subscriber left -> home */
    POST_HISTORY,         /* ask     reactor of who wants to read -> home */
    POST_RECOVER,         /* ask     reactor with somebody who comes back -> home */
    POST_PAGE,            /* answer  home -> that reactor, to both */
    POST_PUBLICATION,     /* tell    home -> interested reactor */
    POST_GAP,             /* tell    home -> interested reactor whose cursor fell off the tail */
    POST_LATER,           /* answer  home -> asker: the real one comes later, as a tell */
    POST_PRESENCE,        /* ask     reactor of who wants to know -> each of the others */
    POST_PRESENCE_PART,   /* answer  what is known there */
    POST_PLACE,          /* ask     reactor with a new connection -> home of its address, or user */
    POST_PLACE_ANSWER,   /* answer  it may stay, or not */
    POST_PLACE_BACK,     /* tell    it has gone */
    POST_LEASE,          /* ask     reactor with a client of a key -> home of it: commands */
    POST_LEASE_ANSWER,   /* answer  so many, or none for a while */
    POST_NEWS,           /* tell    reactor where members came and went -> home */
    POST_NEWS_COPY,      /* tell    home -> interested reactor */
    POST_STOP,           /* tell    control -> reactor: drain, see server/control.h */
    POST_SETTINGS,       /* tell    control -> reactor: what it runs with, see server/reload.h */
    POST_SETTINGS_TAKEN, /* tell    reactor -> control: nothing is left of what it had before */
    POST_KEY_SET,        /* tell    key sets -> reactor: a new one, see server/jwks_source.h */
    POST_WANT_KEYS,      /* tell    reactor -> key sets: a token names a key that is not there */
    POST_RELOAD,         /* tell    reactor -> control: it is wanted; back: what became of it */
    POST_DESERTED,       /* tell    reactor -> control: no client left */
    POST_CLOSE,          /* tell    control -> reactor: all are deserted, see drain.h */
    POST_DRAINED,        /* tell    reactor -> control: no connection left */
    POST_EXIT,           /* tell    control -> reactor: every reactor has drained; -> archive */
    POST_OVERLOAD,       /* tell    control -> reactor: memory is short, or no more */

    POST_ARCHIVE_APPEND,   /* ask     home -> archive: what is to be stored, see archive_post.h */
    POST_ARCHIVE_APPENDED, /* answer  archive -> home: the same batch, with results */
    POST_ARCHIVE_READ,     /* ask     home -> archive: what is stored of a channel? */
    POST_ARCHIVE_PAGE,     /* answer  archive -> home: the same page, filled */
};

/* The blob begins with the channel's name; see chat/publication.h for the rest of it. */
struct post_publish {
    struct blob *blob;
    uint64_t hash;
    struct ids_handle session; /* the asker, for the answer */
    uint32_t command;          /* id of the asker's command */
    uint16_t name_size;
    uint8_t key_size; /* of its idempotency key; 0: none */
    bool is_rpc;      /* who asked wants to know where it is */
    bool is_api;      /* who asked is a back end: hub_asker in chat/hub_state.h */
    bool skips_history;
    uint64_t version; /* 0: none */
    uint64_t version_epoch;
};

struct post_publish_answer {
    struct ids_handle session;
    uint64_t epoch; /* 0: the channel has no history */
    uint64_t offset;
    uint32_t command;
    uint32_t error; /* enum codes_error */
    bool is_rpc;
    bool is_api;
};

/* The blob is the channel's name. */
struct post_interest {
    struct blob *blob;
    uint64_t hash;
    struct ids_handle room;
};

struct post_interest_answer {
    struct ids_handle room;
    struct ids_handle channel; /* for the leave */
    uint64_t epoch;
    uint64_t top;   /* every later publication will come */
    uint32_t error; /* enum codes_error */
};

enum post_history_flag {
    POST_HISTORY_REVERSE = 1,
    POST_HISTORY_SINCE = 2,
    POST_HISTORY_EPOCH = 4,
    POST_HISTORY_API = 8,     /* who asks is a back end */
    POST_HISTORY_REMOVE = 16, /* it is to be forgotten */
};

/* The blob is the channel's name. See struct channel_query for the rest. */
struct post_history {
    struct blob *blob;
    uint64_t hash;
    struct ids_handle session; /* the asker, for the answer */
    uint64_t since;
    uint64_t epoch;
    uint32_t command; /* id of the asker's command */
    uint32_t count_max;
    uint8_t flags; /* enum post_history_flag */
};

struct post_recover {
    struct ids_handle channel;
    struct ids_handle room; /* the asker */
    uint64_t from;
    uint32_t count_max;
};

/* The blob is a page (chat/page.h), or NULL. */
struct post_page {
    struct blob *blob;
    struct ids_handle asker; /* room, or session with its command */
    uint64_t epoch;          /* to POST_HISTORY, like the rest */
    uint64_t top;
    uint32_t command; /* 0: the asker is a room, unless it is a back end */
    uint32_t error;   /* enum codes_error */
    bool is_api;
    bool is_removal; /* nothing was read */
};

struct post_leave {
    struct ids_handle channel;
    struct ids_handle room;
};

struct post_publication {
    struct blob *blob;
    struct ids_handle room;
    uint64_t offset; /* 0: it has none, and keeps its place by the order of posts */
};

struct post_gap {
    struct ids_handle room;
};

/* Both ways: the batch goes there and comes back. */
struct post_archive_batch {
    struct archive_batch *batch;
};

struct post_archive_page {
    struct archive_page *page;
};

/* What every reactor is asked. */
enum post_what {
    POST_WHO = 0,  /* is in the channel that the blob names */
    POST_HOW_MANY, /* are */
    POST_CHANNELS, /* have a name like the pattern in the blob */
    POST_ORDER,    /* to be done: chat/order.h */
};

struct post_presence {
    struct blob *blob;
    uint64_t hash;
    uint32_t question; /* slot at the asker's, which keeps it until every answer is there */
    uint8_t what;      /* enum post_what */
};

/* The blob is a part (chat/presence.h), or NULL: nobody is there, or it failed. */
struct post_presence_part {
    struct blob *blob;
    uint32_t question;
    uint8_t error; /* enum codes_error */
};

/* The blob is a frame of joins and leaves, for a channel (POST_NEWS) or a room (POST_NEWS_COPY). */
struct post_news {
    struct blob *blob;
    struct ids_handle target;
};

/* The answer names the same key, of whom the asker may have gone. */
struct post_place {
    struct quota_key key;
    struct ids_handle asker; /* session, or a connection's name in that form */
    uint8_t kind;            /* enum quota_kind */
    bool is_refused;
    uint8_t verdict; /* of an answer: enum quota_verdict */
};

struct post_lease {
    struct quota_key key;
    uint32_t count;   /* commands: that are wanted, and that are lent */
    uint32_t wait_ms; /* to the answer 0: until there may be one */
    uint8_t kind;     /* enum quota_kind */
};

/* Borrowed until the reactor has taken the next one. */
struct post_settings {
    const struct settings *settings;
    bool is_final; /* false: what is new is only to be known, see chat/policy_places.h */
};

/* To a reactor. The blob is the JSON of the result, or of the error; NULL: no memory. */
struct post_reload {
    struct blob *blob;
    uint16_t error; /* enum codes_error */
};

/* A share of it. */
struct post_key_set {
    struct jwks *set;
    uint32_t kind; /* enum claims_kind */
};

struct post_want_keys {
    uint64_t generation; /* of the set that has not the key */
    uint32_t kind;       /* enum claims_kind */
};

/* What is refused while memory is short: each level with those before it. */
enum post_overload_level {
    POST_OVERLOAD_NONE = 0,
    POST_OVERLOAD_CONNECTIONS,   /* new ones */
    POST_OVERLOAD_SUBSCRIPTIONS, /* new ones */
    POST_OVERLOAD_QUEUES,        /* the longest, once for each such post */
};

struct post_overload {
    enum post_overload_level level;
};

struct post {
    uint16_t from; /* written by the bus */
    uint8_t role;  /* written by the bus */
    uint8_t kind;  /* enum post_kind */
    uint32_t word;
    union {
        struct post_publish publish;
        struct post_publish_answer publish_answer;
        struct post_interest interest;
        struct post_interest_answer interest_answer;
        struct post_history history;
        struct post_recover recover;
        struct post_page page;
        struct post_leave leave;
        struct post_publication publication;
        struct post_gap gap;
        struct post_archive_batch archive_batch;
        struct post_archive_page archive_page;
        struct post_presence presence;
        struct post_presence_part presence_part;
        struct post_place place;
        struct post_lease lease;
        struct post_news news;
        struct post_overload overload;
        struct post_settings settings;
        struct post_reload reload;
        struct post_key_set key_set;
        struct post_want_keys want_keys;
        uint8_t room_for[56];
    };
};

_Static_assert(sizeof(struct post) == sizeof(struct bus_post), "a post is what the bus carries");
_Static_assert(offsetof(struct post, room_for) == offsetof(struct bus_post, body), "same header");

/* Both compile to moves: the bus knows no kinds and chat knows no slots. */
static inline struct bus_post post_pack(const struct post *post)
{
    struct bus_post packed;
    memcpy(&packed, post, sizeof(packed));
    return packed;
}

static inline struct post post_unpack(const struct bus_post *packed)
{
    struct post post;
    memcpy(&post, packed, sizeof(post));
    return post;
}

#endif /* CHAT_POST_H */
