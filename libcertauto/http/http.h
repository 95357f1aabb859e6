/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_HTTP_HTTP_H
#define CERTAUTO_HTTP_HTTP_H

/* Requests and TLS probes on one curl multi handle, driven by sockets: the loop above owns the
 * epoll set and the timer, and calls in when something is ready. Nothing here waits, and no
 * callback of the caller is made: finished transfers are fetched with certauto__http_next_done().
 * The only folder that sees libcurl. */

#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/error.h"
#include "core/text.h"

/* ---- limits (security: anything a peer can make big has one) ---- */

#define CERTAUTO__HTTP_ACME_JSON_MAX (256 * 1024)
#define CERTAUTO__HTTP_ACME_CHAIN_MAX (256 * 1024)
#define CERTAUTO__HTTP_DEVICE_MAX (8 * 1024 * 1024)
#define CERTAUTO__HTTP_HEADERS_MAX (64 * 1024)
#define CERTAUTO__HTTP_HEADER_MAX (32 * 1024)    /* one header that is used: a token, say */
#define CERTAUTO__HTTP_URL_MAX 2048
#define CERTAUTO__HTTP_CONNECT_MS 10000
#define CERTAUTO__HTTP_REQUEST_MS 60000

/* ---- the engine ---- */

typedef struct certauto__http certauto__http;
typedef struct certauto__transfer certauto__transfer;

enum { CERTAUTO__HTTP_IN = 1, CERTAUTO__HTTP_OUT = 2 };

struct certauto__http_hooks {
	void *arg;
	/* IN | OUT; 0 = stop watching, and then fd may be closed already. 0 or a negative code. */
	int (*watch)(void *arg, int fd, int events);
	/* Call certauto__http_expired() after ms; -1 = never; replaces the former. */
	void (*timer)(void *arg, int64_t ms);
};

/* Made at the first request of a context: this is where libcurl is initialised (thread-safe, once a
 * process; never cleaned up: it belongs to the host too). */
int certauto__http_new(certauto__http **out, const struct certauto__http_hooks *hooks,
	certauto_error *err);
void certauto__http_free(certauto__http *http);          /* all transfers must be freed before */
void certauto__http_ready(certauto__http *http, int fd, int events);
void certauto__http_expired(certauto__http *http);
/* A transfer that has finished since, each once; NULL when there is none (left). */
certauto__transfer *certauto__http_next_done(certauto__http *http);
long certauto__http_connections(const certauto__http *http); /* opened so far, for figures */

/* ---- one transfer ---- */

/* Which rules hold. Every handle is made by one function from these. */
enum certauto__http_kind {
	/* https only, TLS verified, no redirects: CAs and devices. */
	CERTAUTO__HTTP_API,
	/* As API, GET, at most 1 redirect, by https to the same host and port. */
	CERTAUTO__HTTP_DIRECTORY,
	/* http or https: a target whose url says http: (the caller has checked `insecure`), etcd on
	 * loopback. */
	CERTAUTO__HTTP_PLAIN,
	/* GET as a CA fetches a token: at most 10 redirects, to ports 80 and 443 (and the given
	 * one), TLS not verified, no headers of the caller. */
	CERTAUTO__HTTP_SELFCHECK,
	/* TLS handshake only, always a new connection, nothing sent, closed when finished;
	 * certificate recorded, not verified. */
	CERTAUTO__HTTP_PROBE
};

struct certauto__http_request {    /* everything is copied */
	enum certauto__http_kind kind;
	const char *method;            /* "GET" "HEAD" "POST" "PUT" "DELETE" ...; PROBE: NULL */
	const char *url;               /* PROBE: "https://NAME:PORT/", NAME becomes the SNI */
	const char *connect_to;        /* "host:port" really connected to; NULL = as the url says */
	const char *const *headers;    /* "Name: value", NULL at the end; may be secret; NULL */
	const void *body;
	size_t body_len;
	size_t max_body;               /* of the answer; 0 = CERTAUTO__HTTP_ACME_JSON_MAX */
	const char *ca_file;           /* instead of the system's; NULL */
	const char *pin;               /* "sha256//BASE64" of the peer's public key info; NULL */
	int insecure;                  /* TLS not verified (pin still is) */
	int64_t timeout_ms;            /* of the whole transfer; 0 = CERTAUTO__HTTP_REQUEST_MS */
	const char *user_agent;        /* NULL = "certauto/VERSION libcurl/VERSION" */
	const char *probe_key;         /* PROBE: "ecdsa", "rsa": certificate wanted; NULL = any */
};

/* Starts; *out belongs to the caller. arg comes back from certauto__transfer_arg(). */
int certauto__http_start(certauto__transfer **out, certauto__http *http,
	const struct certauto__http_request *request, void *arg, certauto_error *err);
/* Ends it where it is when it still runs; its effect at the peer is then unknown. NULL is fine. */
void certauto__transfer_free(certauto__transfer *transfer);
void *certauto__transfer_arg(const certauto__transfer *transfer);

/* After it has finished: 0, or why there was no answer: CERTAUTO_ENET (no route, refused, cut, name
 * not found), CERTAUTO_ETLS (not trusted, wrong pin, no such key type), CERTAUTO_ETIMEDOUT,
 * CERTAUTO_EPROTO (over a limit, not HTTP, redirected to where it may not), CERTAUTO_ECONFIG
 * (ca_file cannot be used), CERTAUTO_ENOMEM, CERTAUTO_EIO (the hooks failed). The message names the
 * URL (without query) and the cause in words. */
int certauto__transfer_result(const certauto__transfer *transfer, certauto_error *err);
int certauto__transfer_status(const certauto__transfer *transfer);               /* HTTP status */
const certauto__buffer *certauto__transfer_body(const certauto__transfer *transfer);
/* i-th header of that name (any case), leading and trailing blanks cut; NULL when there is none or
 * it is over CERTAUTO__HTTP_HEADER_MAX. Borrowed until the transfer is freed. */
const char *certauto__transfer_header(const certauto__transfer *transfer, const char *name,
	size_t i);
/* Media type without parameters, compared without case. */
int certauto__transfer_is_type(const certauto__transfer *transfer, const char *media_type);
/* Seconds to wait told by Retry-After: a number, or an HTTP date against the answer's own Date
 * (else our clock); -1 absent or unreadable, 0 for the past. */
int64_t certauto__transfer_retry_after(const certauto__transfer *transfer);
/* Link header (RFC 8288): target of the i-th link with that rel, resolved against the request URL.
 * Several links in a line, quoted commas, several rels in one parameter. 0, ENOTFOUND, EPROTO. */
int certauto__transfer_link(const certauto__transfer *transfer, const char *rel, size_t i,
	certauto__buffer *out);
/* PROBE: DER of the leaf the peer showed; NULL when none. Borrowed. */
const unsigned char *certauto__transfer_leaf(const certauto__transfer *transfer, size_t *len);
/* Which key type a PROBE of this libcurl can insist on under TLS 1.3 too: 1 from 8.14 on (signature
 * algorithms); else 0: only through a TLS 1.2 cipher list. */
int certauto__http_probe_tls13(void);
const char *certauto__http_version(void); /* "libcurl/8.14.1" */

/* ---- URLs ---- */

/* The rules for a URL that came from a CA: https, no userinfo, fragment, control byte, space or
 * backslash; port 1-65535; host an A-label name or a literal address; same host and port as base
 * (the configured directory) unless "host" (port 443) or "host:port" is in allow_hosts; loopback,
 * link-local and private addresses only where base has one too. CERTAUTO_EPROTO with the URL
 * (escaped) and the reason. */
int certauto__url_check(const char *url, const char *base, const certauto__list *allow_hosts,
	certauto_error *err);
/* A configured URL: https (or http when allow_http), a host; no userinfo. CERTAUTO_EINVAL. */
int certauto__url_check_configured(const char *url, int allow_http, certauto_error *err);
/* Appends the host, in lower case, brackets of IPv6 cut off; port by scheme if the URL has none.
 * CERTAUTO_EINVAL, outputs untouched, when it is not an acceptable http or https URL. */
int certauto__url_host(const char *url, certauto__buffer *host, int *port);
/* Appends "host:port" of a URL ("[::1]:443" for IPv6); port_out may be NULL. EINVAL as
 * before. */
int certauto__url_peer(const char *url, certauto__buffer *out, int *port_out);
int certauto__url_escape(certauto__buffer *out, const char *text); /* all but unreserved as %XX */

#endif
