/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_HAPROXY_H
#define CERTAUTO_TARGETS_HAPROXY_H

/* What the files of the haproxy target share. The runtime API takes one command line a
 * connection and answers in words: there is no status code. */

#include "jobs/target.h"

#define CERTAUTO__HAPROXY_SERIAL 129 /* bytes of a serial number in hex, with the NUL */
#define CERTAUTO__HAPROXY_CHALLENGES "/.well-known/acme-challenge/"

extern const struct certauto__table certauto__haproxy_present;
extern const struct certauto__table certauto__haproxy_deploy;

/* Fills the exchange with one command line to the target's socket. what: the command without its
 * arguments, for plans; static. */
certauto__verdict certauto__haproxy_ask(certauto__exchange *x, const certauto_target *target,
	const char *what, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* 1 if a command line takes text for one word and nothing else. */
int certauto__haproxy_is_word(const char *text, size_t len);
/* 1: refused, for HAProxy has one transaction at a time, and it is about another path. */
int certauto__haproxy_is_others(const certauto__exchange *x);
int certauto__haproxy_says(const certauto__exchange *x, const char *words);
/* EREFUSED with HAProxy's own words. doing: "add the challenge's answer". */
certauto__verdict certauto__haproxy_refused(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);

/* ENOTFOUND with what to do: HAProxy knows neither that certificate nor its folder; no such map. */
certauto__verdict certauto__haproxy_unknown(certauto_job *job, const certauto_target *target,
	const char *path);
certauto__verdict certauto__haproxy_no_map(certauto_job *job, const certauto__exchange *x);

/* ---- certificate, key and file of a deployment: haproxy_file.c ---- */

/* Path of the certificate as HAProxy knows it: the option crt; with several keys .ecdsa or .rsa
 * behind it. */
int certauto__haproxy_path(certauto__buffer *out, const struct certauto__deployment *deployment);
/* Full chain and key as one PEM that can be a payload: no blank line, one newline at the end.
 * out becomes secret. */
int certauto__haproxy_payload(certauto__buffer *out, const struct certauto__deployment *deployment,
	certauto_error *err);
/* The PEM blocks of the file at path, as a payload; ENOTFOUND when there is no file. serial_out
 * (CERTAUTO__HAPROXY_SERIAL bytes) and not_after_out: of its first certificate. */
int certauto__haproxy_file_read(certauto__buffer *out, const char *path, char *serial_out,
	int64_t *not_after_out, certauto_error *err);
/* 1 if the file at path holds these bytes and is closed to others. */
int certauto__haproxy_file_is(const char *path, const certauto__buffer *payload);
/* The file can be replaced: its folder is there and safe, it is no link. */
int certauto__haproxy_file_check(const char *path, certauto_error *err);
int certauto__haproxy_file_replace(const certauto_target *target, const char *path,
	const certauto__buffer *payload, certauto_error *err);
#endif
