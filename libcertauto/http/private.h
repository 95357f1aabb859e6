/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_HTTP_PRIVATE_H
#define CERTAUTO_HTTP_PRIVATE_H

/* What the files of this folder share. Nobody else includes it, or libcurl. */

#include <curl/curl.h>

#include "http/http.h"

#define CERTAUTO__HTTP_HEADERS_COUNT_MAX 256
#define CERTAUTO__HTTP_HOST_CONNECTIONS 4     /* to a peer without HTTP/2 */
#define CERTAUTO__HTTP_STREAMS 100            /* at once on one HTTP/2 connection */
#define CERTAUTO__HTTP_IDLE_CONNECTIONS 32
#define CERTAUTO__HTTP_IDLE_SLOTS 16
#define CERTAUTO__HTTP_SELFCHECK_HOPS 10      /* as many redirects as Let's Encrypt follows */
#define CERTAUTO__HTTP_DIRECTORY_HOPS 1
#define CERTAUTO__HTTP_UNREAD_MAX (64 * 1024) /* bodies of redirects, which nobody reads */

/* An easy handle and what libcurl says went wrong with it. Idle ones are kept and used again. */
struct certauto__slot {
	CURL *easy;
	struct certauto__slot *next;
	char why[CURL_ERROR_SIZE];
};

struct certauto__transfer_list {
	certauto__transfer *first, *last;
};

struct certauto__http {
	CURLM *multi;
	struct certauto__http_hooks hooks;
	struct certauto__slot *idle;
	size_t n_idle;
	struct certauto__transfer_list running, done;
	size_t n_transfers;     /* not yet freed */
	int64_t overdue_at;     /* no running transfer is over its deadline before this */
	int broken;             /* a hook or libcurl failed: the code every transfer ends with */
	long connections;
};

struct certauto__transfer {
	certauto__http *http;
	struct certauto__transfer_list *list; /* running, done, or NULL once it was handed out */
	certauto__transfer *prev, *next;
	struct certauto__slot *slot;          /* while it runs */
	void *arg;

	/* the question */
	enum certauto__http_kind kind;
	char *url;                            /* of the last hop */
	char *connect_to;
	char *body;
	size_t body_len;
	struct curl_slist *headers, *mapping;
	int64_t deadline;                     /* on our monotonic clock */
	int first_port, mapped_port;          /* SELFCHECK: also fine in a redirect */
	int hops;
	int sent;                             /* libcurl has begun to send it */

	/* the answer */
	int rc;
	certauto_error error;
	int status;
	int headers_end;                      /* after the blank line come trailers */
	size_t header_bytes, n_headers, unread;
	certauto__buffer fields;              /* name NUL value NUL ... */
	certauto__buffer answer;
	certauto__buffer leaf;
};

/* ---- options.c: the one place where a handle gets its options ---- */

/* Sets every option of a fresh or reset handle; the transfer has its url, lists and body. */
int certauto__options_set(certauto__transfer *t, const struct certauto__http_request *request,
	certauto_error *err);
/* The next hop of a redirect: as before, but for the URL and the time left. */
int certauto__options_follow(certauto__transfer *t, certauto_error *err);
void certauto__options_multi(certauto__http *http, curl_socket_callback socket_cb,
	curl_multi_timer_callback timer_cb);

/* ---- transfer.c ---- */

int certauto__may_be_plain(enum certauto__http_kind kind); /* http: allowed */
/* Callbacks of libcurl: take bytes, call nothing of libcurl. */
size_t certauto__transfer_take_header(char *data, size_t size, size_t n, void *arg);
size_t certauto__transfer_take_body(char *data, size_t size, size_t n, void *arg);
int certauto__transfer_send_once(void *arg, char *to, char *from, int to_port, int from_port);
/* libcurl is done with the handle: 1 if a redirect is to be followed (t->url is the next hop), else
 * 0 with rc and error set. */
int certauto__transfer_end(certauto__transfer *t, CURLcode code);
/* Forgets the question (it may hold secrets), keeps the answer. The handle must be reset before. */
void certauto__transfer_forget(certauto__transfer *t);

/* ---- engine.c ---- */

int certauto__engine_add(certauto__transfer *t, const struct certauto__http_request *request,
	certauto_error *err);
void certauto__engine_remove(certauto__transfer *t);

/* ---- failure.c ---- */

int certauto__failure_too_long(certauto__transfer *t);
/* Turns libcurl's verdict into an error with words a person understands; returns its code. */
int certauto__failure(certauto__transfer *t, CURLcode code);
/* An error of our own about this transfer: "URL: text". */
int certauto__failure_set(certauto__transfer *t, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- probe.c ---- */

struct certauto__probe_key {
	const char *key;
	const char *signatures;  /* TLS 1.2 and 1.3, libcurl 8.14 and later */
	const char *ciphers;     /* TLS 1.2 */
};

const struct certauto__probe_key *certauto__probe_key_find(const char *key); /* NULL: unknown */
int certauto__probe_take_leaf(certauto__transfer *t);

/* ---- fields.c ---- */

/* Adds a header line without its line end. 0, CERTAUTO_ENOMEM, or CERTAUTO_EPROTO with *why. */
int certauto__fields_add(certauto__transfer *t, const char *line, size_t len, const char **why);
/* Is text[0..len) the string word, ASCII case aside? */
int certauto__same_word(const char *text, size_t len, const char *word);

/* ---- link.c ---- */

/* Looks for the link number *skip with relation rel in one Link header, counting *skip down at each
 * match; its target is appended as it was written. 0, CERTAUTO_ENOTFOUND, CERTAUTO_EPROTO,
 * CERTAUTO_ENOMEM. */
int certauto__link_find(const char *header, const char *rel, size_t *skip,
	certauto__buffer *target);
/* Appends reference, resolved against base (RFC 3986 5.2). 0, CERTAUTO_EPROTO, CERTAUTO_ENOMEM. */
int certauto__link_resolve(const char *base, const char *reference, certauto__buffer *out);

#endif
