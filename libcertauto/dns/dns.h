/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_DNS_DNS_H
#define CERTAUTO_DNS_DNS_H

/* Questions to the DNS: several at a time, each to servers of its own. c-ares asks them and reads
 * the answers; it is loaded when the first question is put, and who asks none does not need it.
 *
 *	certauto__dns_new(&dns, &err)               EUNSUPPORTED: there is no c-ares
 *	certauto__dns_ask(dns, &question, &err)     as often as there are questions
 *	certauto__dns_run(dns, &fd, &again_ms, &err)  until it does not say CERTAUTO_AGAIN
 *	certauto__dns_answer(dns, i)                of the i-th question
 *	certauto__dns_free(dns)                     at any time
 *
 * Nothing blocks: run says which descriptor has to become readable, and when to call it at the
 * latest. What belongs to a question is on its own channel, so that neither a server that is slow
 * nor an answer kept for later has anything to do with another question. */

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/text.h"

enum certauto__dns_type {
	CERTAUTO__DNS_A = 1,
	CERTAUTO__DNS_NS = 2,
	CERTAUTO__DNS_CNAME = 5,
	CERTAUTO__DNS_TXT = 16,
	CERTAUTO__DNS_AAAA = 28
};

#define CERTAUTO__DNS_NAME_MAX 253

typedef struct certauto__dns certauto__dns;

struct certauto__dns_question {
	const char *servers;             /* "192.0.2.1:53,[2001:db8::1]:53": the next one is asked
	                                    when the first does not answer; NULL = the system's
	                                    resolver. Copied */
	const char *name;                /* without the last dot; copied */
	enum certauto__dns_type type;
	int authority;                   /* 1: servers are those of a zone and ask nobody else;
	                                    0: resolvers, and one that refuses, too, is as good as
	                                    gone (CERTAUTO_ENET) */
	int tcp;                         /* 1: not over UDP; else that only if it is cut off */
};

struct certauto__dns_answer {
	int rc;                          /* 0: the server has told what there is, be it nothing;
	                                    CERTAUTO_ENET, ETIMEDOUT: no answer; EREFUSED: it
	                                    cannot tell (REFUSED, SERVFAIL); EPROTO: broken */
	const char *why;                 /* why there are no values: a static text; or NULL */
	int authoritative;               /* it says that the zone is its own */
	certauto__list values;           /* addresses, names without the last dot, texts */
};

int certauto__dns_new(certauto__dns **out, certauto_error *err);
int certauto__dns_ask(certauto__dns *dns, const struct certauto__dns_question *question,
	certauto_error *err);
/* 0: all are answered. CERTAUTO_AGAIN: *fd is to become readable, at the latest after *again_ms
 * it is called again. */
int certauto__dns_run(certauto__dns *dns, int *fd, int64_t *again_ms, certauto_error *err);
const struct certauto__dns_answer *certauto__dns_answer(const certauto__dns *dns, size_t i);
void certauto__dns_free(certauto__dns *dns); /* NULL is fine */

/* 1 if that can be the owner of a record: labels of letters, digits, "-" and "_". Names go into
 * scripts and requests, so that all else is refused, though the DNS knows no such limits. */
int certauto__dns_owner_valid(const char *name);
/* 1 if that can be a text in a TXT record of ours: printable ASCII, for the same reason. */
int certauto__dns_text_valid(const char *text);
/* 1 if a datagram for "192.0.2.1:53" or "[2001:db8::1]:53" would find a way out of this machine. */
int certauto__dns_has_route(const char *address);

/* Test hook: the file that is loaded instead of c-ares; NULL = c-ares again. Before any question
 * is put by another thread. */
void certauto__dns_library(const char *file);

#endif
