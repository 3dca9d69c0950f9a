/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: refusals from a table, each with its exact text; values that are accepted;
 * and three properties: a refusal changes nothing, what is described loads to the same, and the
 * example of deploy/ names every option with its default and a comment.
 */
#include "server/config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config_list.h"
#include "server/config_options.h"
#include "server/config_value.h"
#include "server/config_yaml.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Loads an exact-size heap copy, so that AddressSanitizer sees a read past the text. */
static int load(const char *text, size_t size, struct config *config, char *error)
{
    uint8_t *copy = malloc(size + (size == 0));
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, size);
    error[0] = '\0';
    const int result =
        config_load_memory("t", (struct bytes){copy, size}, config, error, CONFIG_ERROR_SIZE);
    free(copy);
    return result;
}

#define SECRET "0123456789abcdef0123456789abcdef"

/* Keys that nobody has the other half of, as they stand in double quotes. */
#define RSA_KEY                                                                                    \
    "-----BEGIN PUBLIC KEY-----\\n"                                                                \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAy4ztIvSIkrUAVO1aT7D1\\n"                          \
    "21PXfEjFqRzlhaDXHXvQ0jcFOVXYj3b+IZrN3qGiGDLU+9vmgfM39lLQGvpYSNPT\\n"                          \
    "IByBwLnz8/cpuSnC1p0MLy4jkmju3ry14r/Ncrw+np22bTlkPylIbCornXJ2QWg6\\n"                          \
    "nFfaNTvWVtrM/NoKmW618oiwxYbuzTfYC/rbUpxLrF/sWmX2D28iHBVgbhGDij4l\\n"                          \
    "s4Y42Ga7fyHKDk3P8rbtOFbphFpjtnw7GH9Y6f90uCdMTDX0XU1iincjR9HfaSDV\\n"                          \
    "oPMvqHR6qQH4/HF90OglghABZdIm/+qAXZbj9t5G6L13AxV8TQXyPPjlAzHEb7zD\\n"                          \
    "LwIDAQAB\\n"                                                                                  \
    "-----END PUBLIC KEY-----\\n"
#define ECDSA_KEY                                                                                  \
    "-----BEGIN PUBLIC KEY-----\\n"                                                                \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOPjdB0UfpA1R7v16Yfxw6iD2XoWD\\n"                          \
    "YvZ7dNoMSuw92gNYp9UDOXdSaFwLtdZbFb490zEbTDgfomXnnz/hLs2UEA==\\n"                              \
    "-----END PUBLIC KEY-----\\n"

static const struct {
    const char *why;
    const char *text;
    const char *error;
} refusals[] = {
    /* Keys. */
    {"unknown section", "clients:\n  insecure: true\n",
     "t:1:1: clients: expected a known key, did you mean client?"},
    {"unknown option", "client:\n  insecur: true\n",
     "t:2:3: client.insecur: expected a known key, did you mean client.insecure?"},
    {"in the wrong section", "channel_limit: 5\n",
     "t:1:1: channel_limit: expected a known key, did you mean client.channel_limit?"},
    {"nothing like it", "client:\n  zebra: 1\n",
     "t:2:3: client.zebra: expected a known key, there is none of that name"},
    {"dotted", "client.insecure: true\n",
     "t:1:1: client.insecure: expected sections inside each other, found dots in a key"},
    {"dotted section", "channel.without_namespace: {}\n",
     "t:1:1: channel.without_namespace: expected sections inside each other, found dots in a key"},
    {"dotted tail", "channel: {without_namespace.allow_publish_for_client: true}\n",
     "t:1:11: channel.without_namespace.allow_publish_for_client: expected sections inside each "
     "other, found dots in a key"},
    {"option twice", "client:\n  insecure: true\n  insecure: true\n",
     "t:3:3: client.insecure: expected once, found again; it was given in line 2"},
    {"section twice", "client:\n  insecure: true\nlog: {}\nclient: {}\n",
     "t:4:1: client: expected once, found again; it was given in line 1"},
    {"inner section twice", "channel:\n  without_namespace: {}\n  without_namespace: {}\n",
     "t:3:3: channel.without_namespace: expected once, found again; it was given in line 2"},
    {"list twice", "client: {allowed_origins: [], allowed_origins: []}\n",
     "t:1:31: client.allowed_origins: expected once, found again; it was given in line 1"},
    {"empty key", "client: {\"\": 1}\n",
     "t:1:10: client.: expected a known key, there is none of that name"},
    {"key is a list", "client:\n  ? [a]\n  : 1\n", "t:2:5: client: expected a key, found a list"},
    {"key with control characters", "\"a\\nb\\e[31m\": 1\n",
     "t:1:1: a?b?[31m: expected a known key, there is none of that name"},
    {"key with a zero byte", "\"log\\0\": {}\n",
     "t:1:1: log?: expected a known key, did you mean log?"},
    {"very long key",
     "log:\n  aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg: 1\n",
     "t:2:3: log.aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff...: expected a known "
     "key, there is none of that name"},
    {"merge key", "log:\n  <<: {level: info}\n",
     "t:2:3: log.<<: expected a known key, there is none of that name"},
    /* Shapes. */
    {"root is a list", "- 1\n", "t:1:1: expected sections of keys, found a list"},
    {"root is a value", "hello\n", "t:1:1: expected sections of keys, found a value"},
    {"section is a value", "client: yes\n",
     "t:1:9: client: expected a section of keys, found a value"},
    {"section is empty", "client:\nlog: {}\n",
     "t:1:8: client: expected a section of keys, found nothing"},
    {"section is a list", "client: []\n",
     "t:1:9: client: expected a section of keys, found a list"},
    {"value is a section", "client:\n  insecure: {a: 1}\n",
     "t:2:13: client.insecure: expected true or false, found a section"},
    {"value is a list", "http_server:\n  port: [1]\n",
     "t:2:9: http_server.port: expected a port from 1 to 65535, found a list"},
    {"value is missing", "http_server:\n  port:\n",
     "t:2:8: http_server.port: expected a port from 1 to 65535, found nothing"},
    {"value is null", "http_server:\n  port: null\n",
     "t:2:9: http_server.port: expected a port from 1 to 65535, found nothing"},
    {"list is a value", "client:\n  allowed_origins: https://a.org\n",
     "t:2:20: client.allowed_origins: expected a list of origins, found \"https://a.org\""},
    {"list is a section", "channel:\n  namespaces: {name: a}\n",
     "t:2:15: channel.namespaces: expected a list of namespaces, found a section"},
    {"too deep for a section", "log: {level: {level: {level: info}}}\n",
     "t:1:14: log.level: expected one of debug, info, warn, error, found a section"},
    /* What YAML can do and a configuration does not need. */
    {"anchor", "log: &a {level: info}\n",
     "t:1:6: anchors (&) and aliases (*) are not allowed here; text that begins with one needs "
     "quotes"},
    {"alias", "log:\n  level: *a\n",
     "t:2:10: anchors (&) and aliases (*) are not allowed here; text that begins with one needs "
     "quotes"},
    {"anchored key", "&a log: {}\n",
     "t:1:1: anchors (&) and aliases (*) are not allowed here; text that begins with one needs "
     "quotes"},
    {"tag", "log:\n  level: !!str info\n",
     "t:2:10: tags (!) are not allowed here; text that begins with one needs quotes"},
    {"second document", "log: {}\n---\nlog: {}\n",
     "t:2:1: expected one document, found the start of another"},
    {"unclosed", "log: {level: info\n",
     "t:2:1: this is not YAML: did not find expected ',' or '}'"},
    {"tab", "log:\n\tlevel: info\n",
     "t:2:1: this is not YAML: found character that cannot start any token"},
    {"not UTF-8", "log:\n  level: \"\xff\"\n",
     "t:2:11: this is not YAML: invalid leading UTF-8 octet"},
    {"control character", "log: {}\n#\x01\n",
     "t:2:2: this is not YAML: control characters are not allowed"},
    /* Bools. */
    {"bool: yes", "client: {insecure: yes}\n",
     "t:1:20: client.insecure: expected true or false, found \"yes\""},
    {"bool: in quotes", "client: {insecure: \"true\"}\n",
     "t:1:20: client.insecure: expected true or false, found the string \"true\""},
    {"bool: True", "client: {insecure: True}\n",
     "t:1:20: client.insecure: expected true or false, found \"True\""},
    /* Numbers. */
    {"0 is not unlimited", "client: {channel_limit: 0}\n",
     "t:1:25: client.channel_limit: expected 1 to 32768 channels, found \"0\" (nothing is "
     "unlimited)"},
    {"0 is not auto", "reactor: {count: 0}\n",
     "t:1:18: reactor.count: expected 1 to 1024 threads, or auto, found \"0\" (write auto)"},
    {"0 is not off", "client: {user_command_rate: 0}\n",
     "t:1:29: client.user_command_rate: expected 1 to 1000000 commands a second, or off, found "
     "\"0\" (write off)"},
    {"auto where it is off", "client: {address_command_rate: auto}\n",
     "t:1:32: client.address_command_rate: expected 1 to 1000000 commands a second, or off, found "
     "\"auto\""},
    {"auto where it is none", "bus: {slots: auto}\n",
     "t:1:14: bus.slots: expected 64 to 65536 slots, found \"auto\""},
    {"below", "http_server: {max_headers: 7}\n",
     "t:1:28: http_server.max_headers: expected 8 to 64 headers, found \"7\""},
    {"above", "http_server: {max_headers: 65}\n",
     "t:1:28: http_server.max_headers: expected 8 to 64 headers, found \"65\""},
    {"negative", "client: {channel_limit: -1}\n",
     "t:1:25: client.channel_limit: expected 1 to 32768 channels, found \"-1\""},
    {"above 32 bits", "client: {channel_limit: 4294967297}\n",
     "t:1:25: client.channel_limit: expected 1 to 32768 channels, found \"4294967297\""},
    {"above 64 bits", "client: {channel_limit: 18446744073709551617}\n",
     "t:1:25: client.channel_limit: expected 1 to 32768 channels, found \"18446744073709551617\""},
    {"number in quotes", "client: {channel_limit: \"5\"}\n",
     "t:1:25: client.channel_limit: expected 1 to 32768 channels, found the string \"5\""},
    {"unit", "websocket: {message_size_limit: 64k}\n",
     "t:1:33: websocket.message_size_limit: expected 128 to 67108864 bytes, found \"64k\""},
    {"a window that zlib does not have", "websocket: {compression_window_bits: 8}\n",
     "t:1:38: websocket.compression_window_bits: expected 9 to 15 bits, found \"8\""},
    {"a window of no use", "websocket: {compression_window_bits: 16}\n",
     "t:1:38: websocket.compression_window_bits: expected 9 to 15 bits, found \"16\""},
    {"no compression by another name", "websocket: {compression_level: 0}\n",
     "t:1:32: websocket.compression_level: expected 1 to 9 levels, found \"0\" "
     "(nothing is unlimited)"},
    {"nothing is too short", "websocket: {compression_min_size: 0}\n",
     "t:1:35: websocket.compression_min_size: expected 1 to 1048576 bytes, found \"0\" "
     "(nothing is unlimited)"},
    {"hexadecimal", "bus: {slots: 0x400}\n",
     "t:1:14: bus.slots: expected 64 to 65536 slots, found \"0x400\""},
    {"octal or not", "client: {channel_limit: 010}\n",
     "t:1:25: client.channel_limit: expected 1 to 32768 channels, found \"010\" (no leading "
     "zeros)"},
    {"fraction", "client: {channel_limit: 1.5}\n",
     "t:1:25: client.channel_limit: expected 1 to 32768 channels, found \"1.5\""},
    {"port 0", "http_server: {port: 0}\n",
     "t:1:21: http_server.port: expected a port from 1 to 65535, found \"0\""},
    {"port 65536", "http_server: {port: 65536}\n",
     "t:1:21: http_server.port: expected a port from 1 to 65535, found \"65536\""},
    /* Durations. */
    {"no unit", "client: {ping_interval: 25}\n",
     "t:1:25: client.ping_interval: expected a duration from 1s to 1h, found \"25\" (without a "
     "unit: write ms, s, m, h or d after it)"},
    {"unknown unit", "client: {ping_interval: 25w}\n",
     "t:1:25: client.ping_interval: expected a duration from 1s to 1h, found \"25w\""},
    {"no number", "client: {ping_interval: s}\n",
     "t:1:25: client.ping_interval: expected a duration from 1s to 1h, found \"s\""},
    {"empty duration", "client: {ping_interval: \"\"}\n",
     "t:1:25: client.ping_interval: expected a duration from 1s to 1h, found the string \"\""},
    {"duration below", "client: {ping_interval: 999ms}\n",
     "t:1:25: client.ping_interval: expected a duration from 1s to 1h, found \"999ms\""},
    {"duration above", "client: {ping_interval: 3601s}\n",
     "t:1:25: client.ping_interval: expected a duration from 1s to 1h, found \"3601s\""},
    {"duration 0", "shutdown: {timeout: 0s}\n",
     "t:1:21: shutdown.timeout: expected a duration from 100ms to 10m, found \"0s\""},
    {"duration that would wrap", "client: {ping_interval: 5124095576030432h}\n",
     "t:1:25: client.ping_interval: expected a duration from 1s to 1h, found "
     "\"5124095576030432h\""},
    {"days beyond the range", "channel: {without_namespace: {history_ttl: 366d}}\n",
     "t:1:44: channel.without_namespace.history_ttl: expected a duration from 0s to 365d, found "
     "\"366d\""},
    {"space in a duration", "client: {ping_interval: 25 s}\n",
     "t:1:25: client.ping_interval: expected a duration from 1s to 1h, found \"25 s\""},
    /* Words, addresses. */
    {"unknown word", "reactor: {backend: kqueue}\n",
     "t:1:20: reactor.backend: expected one of auto, uring, epoll, found \"kqueue\""},
    {"word in capitals", "log: {format: JSON}\n",
     "t:1:15: log.format: expected one of logfmt, json, found \"JSON\""},
    {"host name", "http_server: {address: localhost}\n",
     "t:1:24: http_server.address: expected an IPv4 or IPv6 address, found \"localhost\" (write "
     "127.0.0.1)"},
    {"address with a port", "http_server: {address: \"127.0.0.1:80\"}\n",
     "t:1:24: http_server.address: expected an IPv4 or IPv6 address, found the string "
     "\"127.0.0.1:80\""},
    {"address with a zero byte", "http_server: {address: \"127.0.0.1\\0\"}\n",
     "t:1:24: http_server.address: expected an IPv4 or IPv6 address, found the string "
     "\"127.0.0.1?\""},
    /* Origins. */
    {"any origin", "client: {allowed_origins: [\"*\"]}\n",
     "t:1:28: client.allowed_origins[0]: expected scheme://host or scheme://host:port, found the "
     "string \"*\" (no patterns: list each origin)"},
    {"origin null", "client: {allowed_origins: [\"null\"]}\n",
     "t:1:28: client.allowed_origins[0]: expected scheme://host or scheme://host:port, found the "
     "string \"null\""},
    {"second origin with a path", "client:\n  allowed_origins:\n    - http://a\n    - http://a/\n",
     "t:4:7: client.allowed_origins[1]: expected scheme://host or scheme://host:port, found "
     "\"http://a/\""},
    {"origin is a list", "client: {allowed_origins: [[]]}\n",
     "t:1:28: client.allowed_origins[0]: expected scheme://host or scheme://host:port, found a "
     "list"},
    /* Namespaces. */
    {"namespace without a name", "channel:\n  namespaces:\n    - allow_publish_for_client: true\n",
     "t:4:1: channel.namespaces[0].name: expected in each namespace, the one of line 3 has none"},
    {"namespace twice", "channel: {namespaces: [{name: a}, {name: b}, {name: a}]}\n",
     "t:1:54: channel.namespaces[2].name: expected a name of its own, \"a\" is given twice"},
    {"unknown key of a namespace", "channel: {namespaces: [{name: a, allow_publish: true}]}\n",
     "t:1:34: channel.namespaces[0].allow_publish: expected a known key, there is none of that "
     "name"},
    {"mistyped key of a namespace",
     "channel: {namespaces: [{name: a}, {allow_publish_for_clients: true}]}\n",
     "t:1:36: channel.namespaces[1].allow_publish_for_clients: expected a known key, did you mean "
     "channel.namespaces[1].allow_publish_for_client?"},
    {"key of a namespace twice", "channel: {namespaces: [{name: a, name: a}]}\n",
     "t:1:34: channel.namespaces[0].name: expected once, found again; it was given in line 1"},
    {"bad name of a namespace", "channel: {namespaces: [{name: \"a:b\"}]}\n",
     "t:1:31: channel.namespaces[0].name: expected a name of 1 to 64 of A-Z a-z 0-9 _ . -, found "
     "the string \"a:b\""},
    {"namespace is a value", "channel: {namespaces: [a]}\n",
     "t:1:24: channel.namespaces[0]: expected a section of keys, found a value"},
    /* Texts and secrets, which no error may show. */
    {"text of two lines", "client: {token: {issuer: \"a\\nb\"}}\n",
     "t:1:26: client.token.issuer: expected a text of at most 255 ASCII characters, found the "
     "string \"a?b\""},
    {"text that is not ASCII", "client: {token: {issuer: \"\\u00e9\"}}\n",
     "t:1:26: client.token.issuer: expected a text of at most 255 ASCII characters, found the "
     "string \"??\""},
    {"text is a list", "client: {token: {audience: [a]}}\n",
     "t:1:28: client.token.audience: expected a text of at most 255 ASCII characters, found a "
     "list"},
    {"secret is nothing", "client: {token: {hmac_secret_key: }}\n",
     "t:1:35: client.token.hmac_secret_key: expected a secret of at most 4096 bytes, found "
     "nothing"},
    {"secret with a zero byte", "client: {token: {hmac_secret_key: \"" SECRET "\\0\"}}\n",
     "t:1:35: client.token.hmac_secret_key: expected a secret of at most 4096 bytes, found one "
     "with a zero byte"},
    {"secret that is short",
     "client:\n  token:\n    hmac_secret_key: 0123456789abcdef0123456789abcde\n",
     "t:3:5: client.token.hmac_secret_key: expected at least 32 bytes, found 31"},
    {"secret as it is shown", "client: {token: {hmac_secret_key: \"***\"}}\n",
     "t:1:18: client.token.hmac_secret_key: expected the secret, found what is shown in its "
     "place"},
    {"secret twice", "client: {token: {hmac_secret_key: " SECRET ", hmac_secret_key_file: a}}\n",
     "t:1:18: client.token.hmac_secret_key: expected this or hmac_secret_key_file, found both"},
    {"an API key as it is shown", "http_api: {key: \"***\"}\n",
     "t:1:12: http_api.key: expected the secret, found what is shown in its place"},
    {"an API key twice", "http_api: {key: a, key_file: b}\n",
     "t:1:12: http_api.key: expected this or key_file, found both"},
    {"no PEM", "client: {token: {rsa_public_key: abc}}\n",
     "t:1:18: client.token.rsa_public_key: expected a public RSA key as PEM, found something that "
     "cannot be read"},
    {"PEM of another type", "client: {token: {rsa_public_key: \"" ECDSA_KEY "\"}}\n",
     "t:1:18: client.token.rsa_public_key: expected a public RSA key as PEM, found an ECDSA key"},
    {"and the other way round", "client: {token: {ecdsa_public_key: \"" RSA_KEY "\"}}\n",
     "t:1:18: client.token.ecdsa_public_key: expected a public ECDSA key as PEM, found an RSA "
     "key"},
    {"private key", "client: {token: {rsa_public_key: \"-----BEGIN PRIVATE KEY-----\\n\"}}\n",
     "t:1:18: client.token.rsa_public_key: expected a public RSA key as PEM, found a private one, "
     "which parleyd must not have"},
    {"certificate", "client: {token: {rsa_public_key: \"-----BEGIN CERTIFICATE-----\\n\"}}\n",
     "t:1:18: client.token.rsa_public_key: expected a public RSA key as PEM, found a certificate"},
    {"set and key", "client: {token: {jwks_file: a, rsa_public_key_file: b}}\n",
     "t:1:18: client.token.jwks_file: expected this, or an RSA or ECDSA key, found both"},
    {"two sets", "client: {token: {jwks_file: a, jwks_public_endpoint: https://a/}}\n",
     "t:1:32: client.token.jwks_public_endpoint: expected this or jwks_file, found both"},
    {"endpoint that anybody can answer for",
     "client: {token: {jwks_public_endpoint: http://idp.example/}}\n",
     "t:1:18: client.token.jwks_public_endpoint: expected https://..., or http:// to this machine, "
     "without a user, found another address"},
    {"authority of nobody", "client: {token: {jwks_ca_file: a}}\n",
     "t:1:18: client.token.jwks_ca_file: expected nothing without jwks_public_endpoint, found a "
     "file"},
    {"key that does not count", "client: {subscription_token: {hmac_secret_key: " SECRET "}}\n",
     "t: client.subscription_token.enabled: expected true with a key in this section, found "
     "false"},
    {"nothing that counts", "client: {subscription_token: {enabled: true}}\n",
     "t:1:31: client.subscription_token.enabled: expected false without a key in this section, "
     "found true"},
    /* Several options at once. */
    {"same listener", "http_server:\n  port: 8080\n  internal_port: 8080\n",
     "t:3:3: http_server.internal_port: expected another port than http_server.port (8080), found "
     "8080"},
    {"same listener by default", "http_server:\n  port: 9000\n",
     "t:2:3: http_server.internal_port: expected another port than http_server.port (9000), found "
     "9000"},
    {"listener of every address", "http_server:\n  address: 0.0.0.0\n  port: 9000\n",
     "t:3:3: http_server.internal_port: expected another port than http_server.port (9000), found "
     "9000"},
    {"no network", "http_server:\n  trusted_proxies: [10.0.0.0/8, 10.0.0.1/8]\n",
     "t:2:33: http_server.trusted_proxies[1]: expected an address or a network such as 10.0.0.0/8, "
     "found \"10.0.0.1/8\""},
    {"a network that is a list", "http_server:\n  trusted_proxies: [[]]\n",
     "t:2:21: http_server.trusted_proxies[0]: expected a network, found a list"},
    {"proxies that nobody knows", "http_server:\n  proxy_protocol: required\n",
     "t: http_server.trusted_proxies: expected networks with proxy_protocol (required), found "
     "none"},
    {"a listener nowhere", "http_server:\n  listeners:\n    - tls: true\n",
     "t:3:7: http_server.listeners[0].port: expected a port or a path, found neither"},
    {"a listener twice", "http_server:\n  listeners: [{port: 1, path: /a}]\n",
     "t:2:25: http_server.listeners[0].path: expected either a port or a path, found both"},
    {"a listener's proxies", "http_server:\n  listeners: [{port: 1, proxy_protocol: required}]\n",
     "t:2:15: http_server.listeners[0].trusted_proxies: expected networks with proxy_protocol "
     "(required), found none"},
    {"a listener's network", "http_server:\n  listeners: [{port: 1, trusted_proxies: [a]}]\n",
     "t:2:43: http_server.listeners[0].trusted_proxies[0]: expected an address or a network such "
     "as "
     "10.0.0.0/8, found \"a\""},
    {"clients' certificates without TLS",
     "http_server:\n  listeners:\n    - port: 1\n      client_ca_pem_file: /a\n",
     "t:4:7: http_server.listeners[0].client_ca_pem_file: expected tls (true) with it"},
    {"TLS of a listener", "http_server:\n  listeners: [{port: 1, tls: true}]\n",
     "t: http_server.tls.cert_pem_file: expected a file with a listener with tls (true), found "
     "nothing"},
    {"a listener where one is",
     "http_server:\n  listeners:\n    - {port: 8000, address: 0.0.0.0}\n",
     "t:2:3: http_server.listeners: expected another place for listeners[0] than http_server.port"},
    {"two listeners at one path", "http_server: {listeners: [{path: /a}, {path: /a}]}\n",
     "t:1:15: http_server.listeners: expected another place for listeners[1] than "
     "http_server.listeners has for an earlier one"},
    {"a port that is none", "http_server: {listeners: [{port: 0}]}\n",
     "t:1:34: http_server.listeners[0].port: expected a port from 1 to 65535, found \"0\""},
    {"too many listeners",
     "http_server: {listeners: [{port: 1}, {port: 2}, {port: 3}, {port: 4}, {port: 5}, {port: 6}, "
     "{port: 7}]}\n",
     "t:1:93: http_server.listeners: expected at most 6 listeners, found more"},
    {"half a certificate", "http_server: {tls: {certificates: [{cert_pem_file: /a}]}}\n",
     "t:1:36: http_server.tls.certificates[0].key_pem_file: expected a file, found nothing"},
    {"TLS without a certificate", "http_server:\n  tls:\n    enabled: true\n",
     "t: http_server.tls.cert_pem_file: expected a file with http_server.tls.enabled (true), found "
     "nothing"},
    {"TLS without a key", "http_server:\n  tls: {enabled: true, cert_pem_file: /c}\n",
     "t: http_server.tls.key_pem_file: expected a file with http_server.tls.cert_pem_file, found "
     "nothing"},
    {"a certificate without a key", "http_server:\n  tls: {cert_pem_file: /c}\n",
     "t: http_server.tls.key_pem_file: expected a file with http_server.tls.cert_pem_file, found "
     "nothing"},
    {"a key without a certificate",
     "http_server:\n  tls:\n    cert_pem_file: ''\n    key_pem_file: /k\n",
     "t:3:5: http_server.tls.cert_pem_file: expected a file with http_server.tls.key_pem_file, "
     "found nothing"},
    {"old TLS", "http_server:\n  tls: {min_version: 1.1}\n",
     "t:2:22: http_server.tls.min_version: expected one of 1.2, 1.3, found \"1.1\""},
    {"pong after the next ping", "client:\n  ping_interval: 8s\n",
     "t:2:3: client.pong_timeout: expected less than client.ping_interval (8s), found 8s"},
    {"target as long as the head", "http_server: {max_header_bytes: 4096}\n",
     "t:1:15: http_server.max_uri: expected less than http_server.max_header_bytes (4096), found "
     "4096"},
    {"queue below a message", "client:\n  queue_max_size: 65536\n",
     "t:2:3: client.queue_max_size: expected more than websocket.message_size_limit (65536), found "
     "65536"},
    {"echo queue below a message", "echo: {message_size_limit: 33554432}\n",
     "t:1:8: echo.queue_max_size: expected more than echo.message_size_limit (33554432), found "
     "33554432"},
    {"not a power of two", "bus: {slots: 1000}\n",
     "t:1:7: bus.slots: expected a power of two, found 1000"},
    {"buffers not a power of two", "reactor: {receive_buffers: 500}\n",
     "t:1:11: reactor.receive_buffers: expected a power of two, found 500"},
    {"half reserved", "bus: {reserve: 512}\n",
     "t:1:7: bus.reserve: expected less than half of bus.slots (1024), found 512"},
    {"no time after the grace time", "shutdown: {timeout: 5s}\n",
     "t:1:12: shutdown.grace: expected less than shutdown.timeout (5s), found 5s"},
    /* Several options of a namespace, or of channels without one. */
    {"a pattern that is none", "channel: {namespaces: [{name: a, channel_regex: '(x'}]}\n",
     "t:1:49: channel.namespaces[0].channel_regex: expected a regular expression of at most 255 "
     "bytes, without quotes, found the string \"(x\" (missing closing parenthesis, at byte 2)"},
    {"a quote in a pattern", "channel: {without_namespace: {channel_regex: \"a'b\"}}\n",
     "t:1:46: channel.without_namespace.channel_regex: expected a regular expression of at most "
     "255 bytes, without quotes, found the string \"a'b\""},
    {"personal channels in a namespace that is none",
     "client: {subscribe_to_user_personal_channel: {personal_channel_namespace: me}}\n",
     "t:1:47: client.subscribe_to_user_personal_channel.personal_channel_namespace: expected one "
     "of "
     "channel.namespaces, found \"me\""},
    {"history without a time", "channel:\n  without_namespace:\n    history_size: 5\n",
     "t:3:5: channel.without_namespace.history_ttl: expected more than 0s with history_size (5), "
     "found "
     "0s"},
    {"history that takes no time",
     "channel:\n  without_namespace:\n    history_size: 5\n    history_ttl: 0s\n",
     "t:4:5: channel.without_namespace.history_ttl: expected more than 0s with history_size (5), "
     "found 0s"},
    {"a time without history", "channel:\n  namespaces:\n    - name: a\n      history_ttl: 48h\n",
     "t:3:7: channel.namespaces[0].history_size: expected more than 0 with history_ttl (2d), found "
     "0"},
    {"offsets forgotten before publications",
     "channel:\n  namespaces:\n    - {name: a}\n    - {name: b, history_size: 1, history_ttl: 1h,\n"
     "       history_meta_ttl: 59m}\n",
     "t:5:8: channel.namespaces[1].history_meta_ttl: expected at least history_ttl (1h), found "
     "59m"},
    {"recovery without history", "channel: {without_namespace: {force_recovery: true}}\n",
     "t:1:31: channel.without_namespace.force_recovery: expected false with history_size (0), "
     "found "
     "true"},
    {"recovery that is asked for", "channel: {namespaces: [{name: a, allow_recovery: true}]}\n",
     "t:1:34: channel.namespaces[0].allow_recovery: expected false with history_size (0), found "
     "true"},
    {"positioning without history", "channel: {without_namespace: {force_positioning: true}}\n",
     "t:1:31: channel.without_namespace.force_positioning: expected false with history_size (0), "
     "found true"},
    {"positioning that is asked for",
     "channel: {namespaces: [{name: a, allow_positioning: true}]}\n",
     "t:1:34: channel.namespaces[0].allow_positioning: expected false with history_size (0), found "
     "true"},
    {"a cache of nothing", "channel: {without_namespace: {force_recovery_mode: cache}}\n",
     "t:1:31: channel.without_namespace.force_recovery_mode: expected stream with history_size "
     "(0), "
     "found cache"},
    {"pushes of nothing", "channel: {namespaces: [{name: a, force_push_join_leave: true}]}\n",
     "t:1:34: channel.namespaces[0].force_push_join_leave: expected false with join_leave (false), "
     "found true"},
    {"durable without history", "channel: {without_namespace: {durability: power}}\n",
     "t:1:31: channel.without_namespace.durability: expected none or memory with history_size (0), "
     "found power"},
    {"durable without a store",
     "channel: {without_namespace: {history_size: 1, history_ttl: 1h, durability: process}}\n",
     "t:1:65: channel.without_namespace.durability: expected none or memory with store.engine "
     "(memory), found process"},
    {"one namespace that is durable without a store",
     "channel:\n  namespaces:\n    - {name: a}\n    - {name: b, history_size: 1, history_ttl: 1h,\n"
     "       durability: power}\n",
     "t:5:8: channel.namespaces[1].durability: expected none or memory with store.engine (memory), "
     "found power"},
    {"a store without a place", "store: {engine: rocksdb}\n",
     "t:1:9: store.path: expected a directory with store.engine (rocksdb), found nothing"},
    {"a place that is nothing", "store: {path: }\n",
     "t:1:15: store.path: expected a path of at most 255 bytes, without quotes and backslashes, "
     "found nothing"},
    {"a place in quotes", "store: {path: 'a\"b'}\n",
     "t:1:15: store.path: expected a path of at most 255 bytes, without quotes and backslashes, "
     "found the string \"a\"b\""},
};

START_TEST(refuses)
{
    struct config config;
    struct config untouched;
    char error[CONFIG_ERROR_SIZE];

    memset(&config, 0x5a, sizeof(config));
    memcpy(&untouched, &config, sizeof(config));
    const char *text = refusals[_i].text;
    ck_assert_msg(load(text, strlen(text), &config, error) == -EINVAL, "%s", refusals[_i].why);
    ck_assert_str_eq(error, refusals[_i].error);
    ck_assert_mem_eq(&config, &untouched, sizeof(config));
}
END_TEST

/* Every prefix of a text loads or is refused with the name of the file, and nothing leaks. */
START_TEST(judges_each_prefix)
{
    static const char text[] =
        "# x\nclient:\n  insecure: true\n  allowed_origins: [\"http://a.org\", 'https://b:1']\n"
        "channel:\n  namespaces:\n    - name: a\n      allow_publish_for_client: true\n"
        "    - {name: b}\nbus: {slots: 64, reserve: 3}\n";
    char error[CONFIG_ERROR_SIZE];

    for (size_t size = 0; size < sizeof(text); size++) {
        struct config config;
        if (load(text, size, &config, error) == 0) {
            config_destroy(&config);
        } else {
            ck_assert_int_eq(strncmp(error, "t:", 2), 0);
        }
    }
}
END_TEST

static void assert_same_text(const struct config *config, const struct config *expected)
{
    char *texts[2] = {NULL, NULL};
    size_t sizes[2];
    const struct config *configs[2] = {config, expected};

    for (int i = 0; i < 2; i++) {
        FILE *out = open_memstream(&texts[i], &sizes[i]);
        ck_assert_ptr_nonnull(out);
        ck_assert_int_eq(config_describe(configs[i], out), 0);
        ck_assert_int_eq(fclose(out), 0);
    }
    ck_assert_str_eq(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
}

START_TEST(empty_is_the_defaults)
{
    static const char *const texts[] = {"", "\n", "# nothing\n", "---\n", "{}", "---\n...\n"};
    char error[CONFIG_ERROR_SIZE];
    struct config expected;

    config_init_defaults(&expected);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct config config;
        ck_assert_int_eq(load(texts[i], strlen(texts[i]), &config, error), 0);
        assert_same_text(&config, &expected);
        config_destroy(&config);
    }
}
END_TEST

/* Written out, because a mistake in the table would otherwise agree with itself. */
START_TEST(limits_by_key_are_those_of_the_design)
{
    struct config config;
    config_init_defaults(&config);

    ck_assert_uint_eq(config.client.user_connection_limit, 256);
    ck_assert_uint_eq(config.client.user_connect_rate, 20);
    ck_assert_uint_eq(config.client.user_connect_burst, 1000);
    ck_assert_uint_eq(config.client.user_command_rate, 0);
    ck_assert_uint_eq(config.client.user_command_burst, 500);
    ck_assert(!config.client.user_limits_dry_run);
    ck_assert_uint_eq(config.client.address_connection_limit, 4096);
    ck_assert_uint_eq(config.client.address_handshake_rate, 100);
    ck_assert_uint_eq(config.client.address_handshake_burst, 1000);
    ck_assert_uint_eq(config.client.address_command_rate, 0);
    ck_assert_uint_eq(config.client.address_command_burst, 5000);
    ck_assert(!config.client.address_limits_dry_run);
    ck_assert_uint_eq(config.client.unlimited_addresses.count, 0);
}
END_TEST

START_TEST(defaults_are_those_of_the_design)
{
    struct config config;
    config_init_defaults(&config);

    ck_assert(!config.development);
    ck_assert(!config.client.insecure);
    ck_assert(!config.client.allow_anonymous_connect_without_token);
    ck_assert_uint_eq(config.client.allowed_origins.count, 0);
    ck_assert_uint_eq(config.client.stale_close_delay_ns, UINT64_C(10000000000));
    ck_assert_uint_eq(config.client.ping_interval_ns, UINT64_C(25000000000));
    ck_assert_uint_eq(config.client.pong_timeout_ns, UINT64_C(8000000000));
    ck_assert_uint_eq(config.client.channel_limit, 128);
    ck_assert_uint_eq(config.client.queue_max_size, 262144);
    ck_assert_uint_eq(config.client.write_stall_timeout_ns, UINT64_C(10000000000));
    ck_assert_uint_eq(config.client.command_rate, 50);
    ck_assert_uint_eq(config.client.command_burst, 100);
    ck_assert_uint_eq(config.client.control_rate, 10);
    ck_assert_uint_eq(config.client.control_burst, 20);
    ck_assert_uint_eq(config.client.connection_limit, 0);
    ck_assert_uint_eq(config.client.max_messages_per_frame, 16);
    ck_assert_uint_eq(config.client.history_max_publication_limit, 300);
    ck_assert_uint_eq(config.client.recovery_max_publication_limit, 300);
    ck_assert_uint_eq(config.client.presence_max_list, 1000);
    ck_assert_uint_eq(config.websocket.message_size_limit, 65536);
    ck_assert_uint_eq(config.websocket.max_fragments, 64);
    ck_assert_uint_eq(config.websocket.message_timeout_ns, UINT64_C(20000000000));
    ck_assert_uint_eq(config.websocket.close_timeout_ns, UINT64_C(3000000000));
    ck_assert(!config.websocket.compression);
    ck_assert_uint_eq(config.websocket.compression_min_size, 128);
    ck_assert(!config.echo.enabled);
    ck_assert_uint_eq(config.echo.message_size_limit, 16777216);
    ck_assert_uint_eq(config.channel.max_length, 255);
    ck_assert_uint_eq(config.channel.history_memory_max, 0);
    ck_assert_uint_eq(config.channel.namespaces.count, 0);
    const struct policy *options = &config.channel.without_namespace;
    ck_assert_uint_eq(options->history_size, 0);
    ck_assert_uint_eq(options->history_ttl_ns, 0);
    ck_assert_uint_eq(options->history_meta_ttl_ns, UINT64_C(2592000000000000));
    ck_assert(!options->force_recovery && !options->allow_recovery);
    ck_assert(!options->force_positioning && !options->allow_positioning);
    ck_assert_int_eq(options->force_recovery_mode, POLICY_RECOVERY_STREAM);
    ck_assert(!options->presence && !options->join_leave && !options->force_push_join_leave);
    ck_assert_int_eq(options->durability, POLICY_DURABILITY_MEMORY);
    ck_assert_uint_eq(options->idempotency_ttl_ns, UINT64_C(300000000000));
    ck_assert_int_eq(options->slow_consumer, POLICY_SLOW_RESYNC);
    ck_assert_int_eq(config.store.engine, CONFIG_STORE_MEMORY);
    ck_assert_str_eq(config.store.path, "");
    ck_assert_uint_eq(config.store.timeout_ns, UINT64_C(5000000000));
    ck_assert_uint_eq(config.reactor.count, 0);
    ck_assert_int_eq(config.reactor.backend, CONFIG_BACKEND_AUTO);
    ck_assert_int_eq(config.reactor.simd, CONFIG_SIMD_AUTO);
    ck_assert(config.reactor.pin);
    ck_assert_uint_eq(config.reactor.receive_buffers, 512);
    ck_assert_uint_eq(config.reactor.receive_buffer_size, 2048);
    ck_assert_uint_eq(config.bus.slots, 1024);
    ck_assert_uint_eq(config.bus.reserve, 256);
    ck_assert_int_eq(config.log.level, CONFIG_LOG_INFO);
    ck_assert_int_eq(config.log.format, CONFIG_LOG_LOGFMT);
    ck_assert_uint_eq(config.overload.memory_budget, 0);
    ck_assert_uint_eq(config.shutdown.grace_ns, UINT64_C(5000000000));
    ck_assert_uint_eq(config.shutdown.timeout_ns, UINT64_C(25000000000));
    ck_assert_uint_eq(config.shutdown.close_rate, 200);
}
END_TEST

START_TEST(defaults_of_the_listeners)
{
    struct config config;
    config_init_defaults(&config);

    ck_assert_str_eq(config.http_server.address, "127.0.0.1");
    ck_assert_uint_eq(config.http_server.port, 8000);
    ck_assert_str_eq(config.http_server.internal_address, "127.0.0.1");
    ck_assert_uint_eq(config.http_server.internal_port, 9000);
    ck_assert(!config.http_server.tls.enabled);
    ck_assert_int_eq(config.http_server.tls.min_version, CONFIG_TLS_1_2);
    ck_assert_uint_eq(config.http_server.tls.handshake_timeout_ns, UINT64_C(5000000000));
    ck_assert_uint_eq(config.http_server.tls.ticket_rotation_ns, UINT64_C(43200000000000));
    ck_assert_uint_eq(config.http_server.max_header_bytes, 8192);
    ck_assert_uint_eq(config.http_server.max_headers, 64);
    ck_assert_uint_eq(config.http_server.max_uri, 4096);
    ck_assert_uint_eq(config.http_server.handshake_timeout_ns, UINT64_C(10000000000));
    ck_assert_uint_eq(config.http_server.socket_send_buffer, 131072);
    ck_assert_uint_eq(config.http_server.socket_receive_buffer, 65536);
}
END_TEST

/* Each field differs from its default here, so a field that is not read is seen. */
static const char everything_changed[] =
    "http_server:\n"
    "  address: \"::\"\n  port: 1\n  internal_address: ::1\n  internal_port: 65535\n"
    "  proxy_protocol: required\n  trusted_proxies: [10.0.0.0/8, '2001:db8::/32', '::1']\n"
    "  proxy_timeout: 1s\n"
    "  listeners:\n"
    "    - port: 8443\n      address: 0.0.0.0\n      tls: true\n      client_ca_pem_file: /d\n"
    "    - {path: /run/a.sock, internal: true}\n"
    "    - port: 7000\n      proxy_protocol: required\n      trusted_proxies: [192.0.2.1]\n"
    "  tls: {enabled: true, cert_pem_file: /c, key_pem_file: /k, client_ca_pem_file: '/a b',\n"
    "        certificates: [{cert_pem_file: /e, key_pem_file: /f}],\n"
    "        min_version: 1.3, handshake_timeout: 1m, ticket_key_file: /t, ticket_rotation: 2d}\n"
    "  socket_send_buffer: 16384\n  socket_receive_buffer: 4194304\n"
    "  max_header_bytes: 65536\n  max_headers: 8\n  max_uri: 16384\n  handshake_timeout: 100ms\n"
    "client:\n"
    "  insecure: true\n  allow_anonymous_connect_without_token: true\n"
    "  allowed_origins: [https://chat.example.org, 'http://[::1]:8080', capacitor://localhost]\n"
    "  stale_close_delay: 1500ms\n  expired_close_delay: 0s\n"
    "  expired_sub_close_delay: 1m\n  subscribe_to_user_personal_channel:\n"
    "    {enabled: true, personal_channel_namespace: news}\n"
    "  ping_interval: 1h\n  pong_timeout: '2m'\n"
    "  channel_limit: 32768\n  queue_max_size: 1073741824\n  write_stall_timeout: 1s\n"
    "  command_rate: 51\n  command_burst: 101\n  control_rate: 11\n  control_burst: 21\n"
    "  connection_limit: 1000\n  max_messages_per_frame: 1\n"
    "  user_connection_limit: 1\n  user_limits_dry_run: true\n"
    "  user_connect_rate: 13\n  user_connect_burst: 14\n"
    "  user_command_rate: 9\n  user_command_burst: 10\n"
    "  address_command_rate: 11\n  address_command_burst: 12\n"
    "  address_connection_limit: 1000000\n  address_handshake_rate: 7\n"
    "  address_handshake_burst: 8\n  address_limits_dry_run: true\n"
    "  unlimited_addresses: [10.0.0.0/8, '2001:db8::/32']\n"
    "  history_max_publication_limit: 10000\n  recovery_max_publication_limit: 1\n"
    "  presence_max_list: 100000\n"
    "  token:\n"
    "    hmac_secret_key: " SECRET "\n"
    "    rsa_public_key: \"" RSA_KEY "\"\n"
    "    ecdsa_public_key: \"" ECDSA_KEY "\"\n"
    "    audience: 'a \"b\\c'\n    issuer: us\n    leeway: 0s\n    require_exp: true\n"
    "  subscription_token:\n"
    "    enabled: true\n"
    "    hmac_secret_key_file: a\n    jwks_public_endpoint: https://a/\n    jwks_ca_file: b\n"
    "    audience: x\n    issuer: y\n    leeway: 5m\n    require_exp: true\n"
    "websocket: {message_size_limit: 67108864, max_fragments: 1, message_timeout: 1s,\n"
    "            close_timeout: 1m, compression: true, compression_min_size: 1,\n"
    "            compression_level: 9, compression_window_bits: 9}\n"
    "echo: {enabled: true, message_size_limit: 128, message_timeout: 1h, queue_max_size: 4096}\n"
    "channel:\n"
    "  max_length: 64\n"
    "  history_memory_max: 5000000000\n"
    "  without_namespace:\n"
    "    channel_regex: ^a+$\n    allow_user_limited_channels: true\n"
    "    allow_subscribe_for_client: true\n    allow_subscribe_for_anonymous: true\n"
    "    allow_publish_for_client: true\n    allow_publish_for_subscriber: true\n"
    "    allow_publish_for_anonymous: true\n"
    "    allow_history_for_client: true\n"
    "    allow_history_for_subscriber: true\n"
    "    allow_history_for_anonymous: true\n"
    "    allow_presence_for_client: true\n"
    "    allow_presence_for_subscriber: true\n"
    "    allow_presence_for_anonymous: true\n"
    "    history_size: 1000000\n"
    "    history_ttl: 365d\n"
    "    history_meta_ttl: 365d\n"
    "    force_recovery: true\n"
    "    allow_recovery: true\n"
    "    force_positioning: true\n"
    "    allow_positioning: true\n"
    "    force_recovery_mode: cache\n"
    "    presence: true\n"
    "    join_leave: true\n"
    "    force_push_join_leave: true\n"
    "    durability: power\n"
    "    idempotency_ttl: 7m\n"
    "    slow_consumer: disconnect\n"
    "  namespaces:\n"
    "    - name: news\n      allow_subscribe_for_anonymous: true\n      history_size: 10\n"
    "      history_ttl: 36h\n      slow_consumer: latest\n"
    "    - allow_publish_for_subscriber: true\n      name: A-b_c.9\n"
    "http_api: {key_file: k, insecure: true, max_body_bytes: 4096, max_answer_bytes: 65536, "
    "max_in_flight: 1,\n"
    "           max_requests: 2, max_revocations: 3, body_timeout: 1s, idle_timeout: 1m}\n"
    "store: {engine: rocksdb, path: /var/lib/parley, timeout: 1m, queue_max_size: 4194304,\n"
    "        write_buffer_size: 1048576, block_cache_size: 4293918720, min_free_space: 1048576}\n"
    "reactor: {count: 3, backend: epoll, simd: avx2, pin: false, receive_buffers: 1024,\n"
    "          receive_buffer_size: 4096}\n"
    "bus: {slots: 2048, reserve: 255}\n"
    "log: {level: \"debug\", format: json, slow_turn: 250ms}\n"
    "overload: {memory_budget: 1099511627776}\n"
    "shutdown: {grace: 0s, timeout: 5s, close_rate: 1000000}\n";

/* They exclude each other: a key is given, or its file is, or a set of keys. */
static bool is_excluded(const char *key)
{
    static const char *const excluded[] = {
        "client.token.hmac_secret_key_file",
        "client.token.rsa_public_key_file",
        "client.token.ecdsa_public_key_file",
        "client.token.jwks_public_endpoint",
        "client.token.jwks_file",
        "client.token.jwks_ca_file",
        "client.subscription_token.hmac_secret_key",
        "client.subscription_token.rsa_public_key",
        "client.subscription_token.rsa_public_key_file",
        "client.subscription_token.ecdsa_public_key",
        "client.subscription_token.ecdsa_public_key_file",
        "client.subscription_token.jwks_file",
        "http_api.key",
    };
    bool is_found = false;
    for (size_t i = 0; i < COUNT_OF(excluded); i++) {
        is_found = is_found || strcmp(key, excluded[i]) == 0;
    }
    return is_found;
}

START_TEST(reads_every_option)
{
    const struct config_table table = config_options_all();
    char error[CONFIG_ERROR_SIZE];
    struct config config;
    struct config defaults;

    ck_assert_int_eq(load(everything_changed, strlen(everything_changed), &config, error), 0);
    config_init_defaults(&defaults);
    for (size_t i = 0; i < table.count; i++) {
        const struct config_option *option = &table.rows[i];
        if (is_excluded(option->key)) {
            continue;
        }
        if (config_list_is(option)) {
            ck_assert_msg(config_list_get(option, &config).count > 0, "%s was not read",
                          option->key);
            continue;
        }
        if (option->kind == CONFIG_KIND_TEXT || option->kind == CONFIG_KIND_SECRET) {
            ck_assert_msg(config_options_text(option, &config) != NULL, "%s was not read",
                          option->key);
            continue;
        }
        char value[CONFIG_TEXT_SIZE];
        char standard[CONFIG_TEXT_SIZE];
        config_value_write(option, &config, value);
        config_value_write(option, &defaults, standard);
        ck_assert_msg(strcmp(value, standard) != 0, "%s was not read", option->key);
    }
    ck_assert_str_eq(config.http_server.address, "::");
    ck_assert_str_eq(config.http_server.internal_address, "::1");
    ck_assert_uint_eq(config.client.stale_close_delay_ns, 1500000000);
    ck_assert_uint_eq(config.client.expired_close_delay_ns, 0);
    ck_assert_uint_eq(config.client.expired_sub_close_delay_ns, UINT64_C(60000000000));
    ck_assert(config.client.subscribe_to_user_personal_channel.enabled);
    ck_assert_str_eq(config.client.subscribe_to_user_personal_channel.personal_channel_namespace,
                     "news");
    ck_assert_str_eq(config.channel.without_namespace.channel_regex, "^a+$");
    ck_assert_uint_eq(config.client.pong_timeout_ns, UINT64_C(120000000000));
    ck_assert_uint_eq(config.client.queue_max_size, 1073741824);
    ck_assert_int_eq(config.reactor.backend, CONFIG_BACKEND_EPOLL);
    ck_assert_int_eq(config.reactor.simd, CONFIG_SIMD_AVX2);
    ck_assert_int_eq(config.log.level, CONFIG_LOG_DEBUG);
    ck_assert_str_eq(config.store.path, "/var/lib/parley");
    ck_assert_str_eq(config.client.token.audience, "a \"b\\c");
    const struct bytes secret = config_secret_reveal(config.client.token.hmac_secret_key);
    ck_assert_uint_eq(secret.size, strlen(SECRET));
    ck_assert_int_eq(memcmp(secret.data, SECRET, secret.size), 0);

    const struct config_origins *origins = &config.client.allowed_origins;
    ck_assert_uint_eq(origins->count, 3);
    ck_assert_uint_eq(origins->items[1].size, 17);
    ck_assert_str_eq((const char *)origins->items[1].data, "http://[::1]:8080");
    const struct config_namespaces *namespaces = &config.channel.namespaces;
    ck_assert_uint_eq(namespaces->count, 2);
    ck_assert_str_eq(namespaces->items[0].name, "news");
    ck_assert(namespaces->items[0].options.allow_subscribe_for_anonymous);
    ck_assert(!namespaces->items[0].options.allow_publish_for_subscriber);
    ck_assert_uint_eq(namespaces->items[0].options.history_size, 10);
    ck_assert_uint_eq(namespaces->items[0].options.history_ttl_ns, UINT64_C(129600000000000));
    ck_assert_int_eq(namespaces->items[0].options.slow_consumer, POLICY_SLOW_LATEST);
    ck_assert_uint_eq(namespaces->items[1].options.history_size, 0);
    ck_assert_str_eq(namespaces->items[1].name, "A-b_c.9");
    ck_assert(namespaces->items[1].options.allow_publish_for_subscriber);
    config_destroy(&config);
    ck_assert_uint_eq(config.client.allowed_origins.count, 0);
    ck_assert_ptr_null(config.client.allowed_origins.items);
}
END_TEST

/* But for the secret, which is not in it: it is put back in its place. */
START_TEST(reads_listeners)
{
    char error[CONFIG_ERROR_SIZE];
    struct config config;

    ck_assert_int_eq(load(everything_changed, strlen(everything_changed), &config, error), 0);
    const struct config_listeners *listeners = &config.http_server.listeners;
    ck_assert_uint_eq(listeners->count, 3);
    ck_assert(listeners->items[0].tls && !listeners->items[0].internal);
    ck_assert_str_eq(listeners->items[1].path, "/run/a.sock");
    ck_assert_uint_eq(listeners->items[1].port, 0);
    ck_assert_uint_eq(listeners->items[2].trusted_proxies.count, 1);
    ck_assert_uint_eq(config.http_server.trusted_proxies.count, 3);
    ck_assert_str_eq(config.http_server.tls.certificates.items[0].key_pem_file, "/f");
    config_destroy(&config);
    ck_assert_uint_eq(config.http_server.listeners.count, 0);
}
END_TEST

START_TEST(what_is_described_loads_to_the_same)
{
    char error[CONFIG_ERROR_SIZE];
    struct config config;
    struct config again;
    char *text = NULL;
    char *whole = NULL;
    size_t size = 0;

    ck_assert_int_eq(load(everything_changed, strlen(everything_changed), &config, error), 0);
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(config_describe(&config, out), 0);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_ptr_null(strstr(text, SECRET));
    ck_assert_int_ne(load(text, size, &again, error), 0);
    char *shown = strstr(text, CONFIG_SECRET_SHOWN);
    ck_assert_ptr_nonnull(shown);
    *shown = '\0';
    ck_assert_int_gt(asprintf(&whole, "%s%s%s", text, SECRET, shown + strlen(CONFIG_SECRET_SHOWN)),
                     0);
    ck_assert_msg(load(whole, strlen(whole), &again, error) == 0, "%s", error);
    assert_same_text(&again, &config);
    free(whole);
    free(text);
    config_destroy(&config);
    config_destroy(&again);
}
END_TEST

START_TEST(reads_json)
{
    static const char text[] =
        "{\n\t\"http_server\": {\"port\": 8123, \"address\": \"127.0.0.1\"},\n"
        "\t\"client\": {\"insecure\": true, \"allowed_origins\": [\"http:\\/\\/a.org\"],"
        " \"ping_interval\": \"5s\", \"pong_timeout\": \"1s\"},\n"
        "\t\"channel\": {\"namespaces\": [{\"name\": \"a\"}]}}\n";
    char error[CONFIG_ERROR_SIZE];
    struct config config;

    ck_assert_msg(load(text, strlen(text), &config, error) == 0, "%s", error);
    ck_assert_uint_eq(config.http_server.port, 8123);
    ck_assert(config.client.insecure);
    ck_assert_str_eq((const char *)config.client.allowed_origins.items[0].data, "http://a.org");
    ck_assert_uint_eq(config.client.ping_interval_ns, UINT64_C(5000000000));
    ck_assert_str_eq(config.channel.namespaces.items[0].name, "a");
    config_destroy(&config);
}
END_TEST

static const struct {
    const char *origin;
    bool good;
} origin_cases[] = {
    {"https://a.com", true},
    {"https://a.com:443", true},
    {"http://localhost:8000", true},
    {"http://127.0.0.1", true},
    {"http://[::1]", true},
    {"http://[fe80::1]:65535", true},
    {"HTTPS://A.COM", true},
    {"app+x-1.y://host", true},
    {"https://xn--bcher-kva.example", true},
    {"https://", false},
    {"://a.com", false},
    {"a.com", false},
    {"https:/a.com", false},
    {"https://a.com/", false},
    {"https://a.com:", false},
    {"https://a.com:0", false},
    {"https://a.com:65536", false},
    {"https://a.com:8x", false},
    {"https://u@a.com", false},
    {"https://a.com?x", false},
    {"https://*.a.com", false},
    {"https://a b", false},
    {"1https://a", false},
    {"ht tp://a", false},
    {"http://[::1", false},
    {"http://[::g]", false},
    {"http://[::1]x", false},
    {"", false},
    {"https://a.com,https://b.com", false},
};

START_TEST(judges_origins)
{
    char what[CONFIG_WHAT_SIZE];
    const char *origin = origin_cases[_i].origin;
    const struct config_scalar scalar = {{(const uint8_t *)origin, strlen(origin)}, true};

    ck_assert_msg((config_value_check_origin(scalar, what) == 0) == origin_cases[_i].good, "%s",
                  origin);
}
END_TEST

START_TEST(refuses_a_long_origin)
{
    char what[CONFIG_WHAT_SIZE];
    char origin[CONFIG_ORIGIN_MAX + 2];

    (void)snprintf(origin, sizeof(origin), "http://%0*d", CONFIG_ORIGIN_MAX + 1 - 7, 0);
    const struct config_scalar fits = {{(const uint8_t *)origin, CONFIG_ORIGIN_MAX}, true};
    const struct config_scalar above = {{(const uint8_t *)origin, CONFIG_ORIGIN_MAX + 1}, true};
    ck_assert_int_eq(config_value_check_origin(fits, what), 0);
    ck_assert_int_eq(config_value_check_origin(above, what), -EINVAL);
}
END_TEST

START_TEST(refuses_too_many)
{
    char error[CONFIG_ERROR_SIZE];
    char *text = NULL;
    size_t size = 0;
    struct config config;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);

    (void)fprintf(out, "client:\n  allowed_origins:\n");
    for (int i = 0; i < 1025; i++) {
        (void)fprintf(out, "    - http://h%d\n", i);
    }
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_int_eq(load(text, size, &config, error), -EINVAL);
    ck_assert_str_eq(error,
                     "t:1027:7: client.allowed_origins: expected at most 1024 origins, found more");
    free(text);
}
END_TEST

/* Thousands of levels where a value belongs must cost an error, not the stack. */
START_TEST(refuses_depth)
{
    static const char head[] = "client: {insecure: ";
    enum { DEPTH = 100000 };
    char *text = malloc(sizeof(head) + DEPTH);
    char error[CONFIG_ERROR_SIZE];
    struct config config;

    ck_assert_ptr_nonnull(text);
    memcpy(text, head, sizeof(head) - 1);
    memset(text + sizeof(head) - 1, '[', DEPTH);
    ck_assert_int_eq(load(text, sizeof(head) - 1 + DEPTH, &config, error), -EINVAL);
    ck_assert_str_eq(error, "t:1:20: client.insecure: expected true or false, found a list");
    free(text);
}
END_TEST

START_TEST(reads_files)
{
    char path[] = "/tmp/config_test.XXXXXX";
    char error[CONFIG_ERROR_SIZE];
    char expected[CONFIG_ERROR_SIZE];
    struct config config;

    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "log: {level: warn}\n", 19), 19);
    ck_assert_int_eq(config_load_file(path, &config, error, sizeof(error)), 0);
    ck_assert_int_eq(config.log.level, CONFIG_LOG_WARN);
    config_destroy(&config);

    ck_assert_int_eq(write(fd, "log: {}\n", 8), 8);
    ck_assert_int_eq(config_load_file(path, &config, error, sizeof(error)), -EINVAL);
    (void)snprintf(expected, sizeof(expected),
                   "%s:2:1: log: expected once, found again; it was given in line 1", path);
    ck_assert_str_eq(error, expected);

    ck_assert_int_eq(ftruncate(fd, CONFIG_FILE_SIZE_MAX + 1), 0);
    ck_assert_int_eq(config_load_file(path, &config, error, sizeof(error)), -EFBIG);
    (void)close(fd);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(config_load_file(path, &config, error, sizeof(error)), -ENOENT);
    (void)snprintf(expected, sizeof(expected), "%s: cannot be read: No such file or directory",
                   path);
    ck_assert_str_eq(error, expected);
    ck_assert_int_eq(config_load_file("/tmp", &config, error, sizeof(error)), -EISDIR);
    ck_assert_str_eq(error, "/tmp: cannot be read: Is a directory");
}
END_TEST

START_TEST(resolves_auto)
{
    char error[CONFIG_ERROR_SIZE];
    struct config config;

    config_init_defaults(&config);
    ck_assert_int_eq(
        config_resolve(&config, &(struct config_facts){4, 1024, 1000000000}, error, sizeof(error)),
        0);
    ck_assert_uint_eq(config.reactor.count, 4);
    ck_assert_uint_eq(config.client.connection_limit, 960);
    ck_assert_uint_eq(config.overload.memory_budget, 800000000);
    ck_assert(config.overload.is_auto);
    ck_assert_uint_eq(config.channel.history_memory_max, 400000000);

    config_init_defaults(&config);
    config.reactor.count = 3;
    config.client.connection_limit = 960;
    config.overload.memory_budget = UINT64_C(4) << 30;
    ck_assert_int_eq(
        config_resolve(&config, &(struct config_facts){4, 1024, 1000000000}, error, sizeof(error)),
        0);
    ck_assert_uint_eq(config.reactor.count, 3);
    ck_assert_uint_eq(config.client.connection_limit, 960);
    ck_assert_uint_eq(config.overload.memory_budget, UINT64_C(4) << 30);
    ck_assert(!config.overload.is_auto);
    ck_assert_uint_eq(config.channel.history_memory_max, 1 << 30);

    config_init_defaults(&config);
    ck_assert_int_eq(config_resolve(&config, &(struct config_facts){4, UINT64_MAX, 1000000000},
                                    error, sizeof(error)),
                     0);
    ck_assert_uint_eq(config.client.connection_limit, 10000000);

    config_init_defaults(&config);
    config.client.connection_limit = 961;
    ck_assert_int_eq(
        config_resolve(&config, &(struct config_facts){4, 1024, 1000000000}, error, sizeof(error)),
        -EINVAL);
    ck_assert_str_eq(error, "client.connection_limit: expected at least 1025 open files for it "
                            "(ulimit -n), found 1024");
    ck_assert_uint_eq(config.reactor.count, 0);

    config_init_defaults(&config);
    ck_assert_int_eq(
        config_resolve(&config, &(struct config_facts){4, 64, 1000000000}, error, sizeof(error)),
        -EINVAL);
    ck_assert_str_eq(error, "client.connection_limit: expected at least 65 open files for it "
                            "(ulimit -n), found 64");
}
END_TEST

START_TEST(values_have_words)
{
    ck_assert_str_eq(config_backend_name(CONFIG_BACKEND_URING), "uring");
    ck_assert_str_eq(config_backend_name(CONFIG_BACKEND_EPOLL), "epoll");
    ck_assert_str_eq(config_simd_name(CONFIG_SIMD_SCALAR), "scalar");
    ck_assert_str_eq(config_simd_name(CONFIG_SIMD_SSE4), "sse4");
    ck_assert_str_eq(config_simd_name(CONFIG_SIMD_AVX2), "avx2");
    ck_assert_str_eq(config_simd_name(CONFIG_SIMD_AVX512), "avx512");
    ck_assert_str_eq(config_log_level_name(CONFIG_LOG_DEBUG), "debug");
    ck_assert_str_eq(config_log_level_name(CONFIG_LOG_ERROR), "error");
}
END_TEST

static const char example_path[] = PARLEY_SOURCE_DIR "/deploy/parley.example.yaml";

static char *read_example(size_t *size)
{
    char *text = malloc(CONFIG_FILE_SIZE_MAX + 1);
    ck_assert_ptr_nonnull(text);
    FILE *in = fopen(example_path, "r");
    ck_assert_msg(in != NULL, "%s", example_path);
    *size = fread(text, 1, CONFIG_FILE_SIZE_MAX, in);
    ck_assert_int_eq(fclose(in), 0);
    text[*size] = '\0';
    return text;
}

START_TEST(example_is_the_defaults)
{
    char error[CONFIG_ERROR_SIZE];
    struct config config;
    struct config defaults;

    config_init_defaults(&defaults);
    ck_assert_msg(config_load_file(example_path, &config, error, sizeof(error)) == 0, "%s", error);
    assert_same_text(&config, &defaults);
    config_destroy(&config);
}
END_TEST

/* The line with this number, from 1. */
static const char *line_of(const char *text, uint32_t number)
{
    for (uint32_t line = 1; line < number; line++) {
        text = strchr(text, '\n');
        ck_assert_ptr_nonnull(text);
        text++;
    }
    return text;
}

START_TEST(example_has_every_option_with_a_comment)
{
    const struct config_table table = config_options_all();
    const struct config_table of_namespace = config_options_of_namespace();
    struct config_yaml_result read;
    char error[CONFIG_ERROR_SIZE];
    size_t size = 0;
    char *text = read_example(&size);

    config_init_defaults(&read.config);
    ck_assert_int_eq(config_yaml_read("example", (struct bytes){(const uint8_t *)text, size}, &read,
                                      error, sizeof(error)),
                     0);
    for (size_t i = 0; i < table.count; i++) {
        ck_assert_msg(read.marks[i].line > 1, "%s is not in the example", table.rows[i].key);
        const char *above = line_of(text, read.marks[i].line - 1);
        ck_assert_msg(above[strspn(above, " ")] == '#', "%s has no comment", table.rows[i].key);
        const char *line = line_of(text, read.marks[i].line);
        const size_t line_size = strcspn(line, "\n");
        const char *mark = memmem(line, line_size, "  # restart", strlen("  # restart"));
        ck_assert_msg((mark != NULL) == (table.rows[i].change != CONFIG_CHANGE_NOW),
                      "%s: does it need a restart?", table.rows[i].key);
    }
    for (size_t i = 0; i < of_namespace.count; i++) {
        char commented[CONFIG_KEY_SIZE];
        (void)snprintf(commented, sizeof(commented), "#     %s %s: ", i == 0 ? "-" : " ",
                       of_namespace.rows[i].key);
        ck_assert_msg(strstr(text, commented) != NULL, "%s", commented);
    }
    free(text);
}
END_TEST

int main(void)
{
    TCase *refused = tcase_create("refused");
    tcase_add_loop_test(refused, refuses, 0, (int)COUNT_OF(refusals));
    tcase_add_test(refused, judges_each_prefix);
    tcase_add_test(refused, refuses_too_many);
    tcase_add_test(refused, refuses_depth);
    TCase *accepted = tcase_create("accepted");
    tcase_add_test(accepted, empty_is_the_defaults);
    tcase_add_test(accepted, limits_by_key_are_those_of_the_design);
    tcase_add_test(accepted, defaults_are_those_of_the_design);
    tcase_add_test(accepted, defaults_of_the_listeners);
    tcase_add_test(accepted, reads_every_option);
    tcase_add_test(accepted, reads_listeners);
    tcase_add_test(accepted, what_is_described_loads_to_the_same);
    tcase_add_test(accepted, reads_json);
    tcase_add_test(accepted, reads_files);
    tcase_add_test(accepted, resolves_auto);
    tcase_add_test(accepted, values_have_words);
    TCase *origins = tcase_create("origins");
    tcase_add_loop_test(origins, judges_origins, 0, (int)COUNT_OF(origin_cases));
    tcase_add_test(origins, refuses_a_long_origin);
    TCase *example = tcase_create("example");
    tcase_add_test(example, example_is_the_defaults);
    tcase_add_test(example, example_has_every_option_with_a_comment);

    Suite *suite = suite_create("server/config");
    suite_add_tcase(suite, refused);
    suite_add_tcase(suite, accepted);
    suite_add_tcase(suite, origins);
    suite_add_tcase(suite, example);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
