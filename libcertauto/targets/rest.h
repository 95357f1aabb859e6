/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_REST_H
#define CERTAUTO_TARGETS_REST_H

/* What targets share whose devices keep objects behind a REST API: objects read from answers and
 * sent back changed, and what a refusal says. Of a list the objects are in "results". */

#include "jobs/target.h"

#define CERTAUTO__REST_ID 128   /* bytes of an object's id, with the NUL */

/* One object of an answer: the results of a list, or the object itself. values: of the fields
 * asked for, as text whatever their JSON type; NULL where the object has none. A field is a path
 * inside of the object as of certauto__json_is(): "certificate.serial_number", "services[].port",
 * "dns_info[].fqdn". Of a path through arrays all values come, with a comma between; an item that
 * does not have the field gives an empty one, so that the i-th values of two paths through one
 * array belong together; a comma inside of such a value comes as ";". cb's negative code ends it.
 * total_out: NULL, or the count a list tells, which is more than came when the list has more
 * pages. What is got must be a list, or say that its count is 0: EPROTO. The answer to a write may
 * be a list, one object (total: 1), or nothing. */
#define CERTAUTO__REST_FIELDS 16
typedef int (*certauto__rest_row_cb)(void *arg, const char *const *values);
int certauto__rest_rows(const certauto__exchange *x, const char *const *fields,
	certauto__rest_row_cb cb, void *arg, int64_t *total_out, certauto_error *err);
/* The same where the list is called otherwise. */
int certauto__rest_rows_of(const certauto__exchange *x, const char *list,
	const char *const *fields, certauto__rest_row_cb cb, void *arg, int64_t *total_out,
	certauto_error *err);
/* The same where what is got must be an object alone. */
int certauto__rest_object(const certauto__exchange *x, const char *const *fields,
	certauto__rest_row_cb cb, void *arg, certauto_error *err);

/* The whole object of an answer, or the first of a list, written to out as it came but for the
 * members that edits replace or add: for PUT. edits[i].path: of a member ("key",
 * "certificate.certificate", "ssl_key_and_certificate_refs") or of one item of a list
 * ("services[0]"); edits[i].json: its new value, NULL: it is left out. EPROTO: there is no object,
 * or none that the member could be added to. */
struct certauto__rest_edit {
	const char *path;
	const char *json;
};
int certauto__rest_edit(certauto__buffer *out, const char *object, size_t len,
	const struct certauto__rest_edit *edits, size_t n_edits, certauto_error *err);
/* The same with each string, wherever it stands, that equals from written as to. n_out: how many
 * there were. */
int certauto__rest_swap(certauto__buffer *out, const char *object, size_t len, const char *from,
	const char *to, size_t *n_out, certauto_error *err);

/* Appends an id that a device has told to a URL, as one part of its path: encoded. What would be
 * none ("", "." and ".." lead elsewhere) becomes url's rc, EPROTO, so that nothing is sent. */
void certauto__rest_segment(certauto__buffer *url, const char *id);
/* Id of a reference, path or URL: the last part of its path, without "#name"; "" if there is
 * none. */
void certauto__rest_id(char out[CERTAUTO__REST_ID], const char *ref);

/* ---- refusals ---- */

/* The words of an answer: its member of that path, else its first text, else what came if that is
 * no JSON; words is made new. What a proxy says, in HTML, is nothing that the device said. */
void certauto__rest_words(certauto__buffer *words, const certauto__exchange *x, const char *member);
/* 1: text has that part in it, whatever the case. */
int certauto__rest_has(const char *text, const char *part);
/* Takes out of a device's words what must not be shown and a device repeats: sensitive options of
 * target, PEM and what is behind it, for that may be a key, and what looks like a row of one. */
void certauto__rest_hide(certauto__buffer *words, const certauto_target *target);
/* Sets err to code, with what was being done, status, the device's own code unless number is 0, and
 * words, of which is hidden what must be: of a refusal. Of what was not answered at all (x->rc): to
 * why not; its code is that. advice: NULL, or what to do. Returns the code. */
int certauto__rest_tell(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *object, const char *doing, int code, int number,
	certauto__buffer *words, const char *advice);

#endif
