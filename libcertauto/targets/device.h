/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_DEVICE_H
#define CERTAUTO_TARGETS_DEVICE_H

/* What targets with a management API over HTTP have in common: the option url and what belongs to
 * it, and names that say whose an object there is. */

#include <stdarg.h>

#include "jobs/target.h"

/* That the option of that name is a URL that may take the secrets of this target: https, or http
 * where insecure says so; one that is not set is fine. CERTAUTO_EINVAL. */
int certauto__device_check_url(const certauto_target *target, const char *name,
	certauto_error *err);
/* For a row: keys may be sent, if they are. CERTAUTO_ETLS. */
int certauto__device_fits(const certauto_target *target, size_t n_keys, int sends,
	certauto_error *err);
/* At most max letters, digits and "_#.:@=-" or what is in more, a letter, digit or "_" first; NULL
 * is fine. name: the option. CERTAUTO_EINVAL. */
int certauto__device_check_name(const certauto_target *target, const char *name, const char *text,
	size_t max, const char *more, certauto_error *err);

/* A request to the option url, with path behind it, and its TLS, size and time as options say. */
certauto__verdict certauto__device_ask(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *path);
/* Forgets the headers of an earlier attempt: they may be secret. */
void certauto__device_headers_clear(certauto__exchange *x);
/* Puts "TYPE LABEL: " in front of a message. Returns its code. */
int certauto__device_sign(certauto_error *err, const certauto_target *target);
/* The message without that. */
const char *certauto__device_unsigned(const certauto_error *err, const certauto_target *target);
/* What came of an exchange that was not answered is told as of this target, with what to see to:
 * for judges. Then, with what was being done in front of it; returns its code. */
void certauto__device_silence(certauto_job *job, certauto__exchange *x,
	const certauto_target *target);
int certauto__device_silent(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *doing);
/* Fails the job with such a message; advice NULL: there is none. */
certauto__verdict certauto__device_stop(certauto_job *job, const certauto_target *target, int code,
	const char *object, const char *advice, const char *format, va_list args);
/* A wait that is looked at again and again is told of once, as long as its text is the same. */
void certauto__device_waiting(certauto_job *job, const char *object, const char *text);
/* The peer of that type for equal values of the options named, NULL-terminated; passwords too: a
 * target with the right one must not be told what another was. made_out as certauto__peer_get(). */
int certauto__device_peer(certauto__peer **out, const certauto_target *target,
	const struct certauto__peer_ops *ops, const char *const *names, int width,
	certauto_error *err);

/* prefix-acme-TIME-DIGEST-NAME: of what answers the challenge of one name. */
void certauto__device_answer(char *out, size_t size, const certauto_target *target,
	const char *name, const char *token, int64_t now);
/* When the run began that made an object of that name; 0: it is none of ours. */
int64_t certauto__device_answer_time(const char *object, const certauto_target *target);
/* Appends KEYID-DIGEST to stem, of so many hex digits each: by key identifier, so that people find
 * it, and by the certificate, for one key may have several. */
void certauto__device_ca(char *out, size_t size, const char *stem, int digits,
	const struct certauto__cert_info *ca);
int certauto__device_is_own_ca(const char *name, const char *stem, int digits);

/* Ids in one fact have commas between them. The item at *at, which moves on; empty ones are passed
 * over. 0: there is none. */
int certauto__device_item(char *out, size_t size, const char **at);
/* 1: list has that item; either may be NULL. */
int certauto__device_listed(const char *list, const char *item);
/* To the list that is job's fact name, unless it is in it. */
void certauto__device_list_add(certauto_job *job, const char *name, const char *item);
/* Appends now to list, with those of in at the place of those of out; each may be NULL. */
void certauto__device_list_swap(certauto__buffer *list, const char *now, const char *in,
	const char *out);

#endif
