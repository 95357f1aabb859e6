/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_AVI_PRESENT_H
#define CERTAUTO_TARGETS_AVI_PRESENT_H

/* What finding a virtual service (avi_find.c), answering a challenge on it (avi_present.c) and
 * leaving it (avi_leave.c) share.
 *
 * There are up to two places where a policy set is attached. The door is the virtual service that
 * listens: an ordinary one, or the parent of children for names. The child is the one for the
 * name. Children of enhanced virtual hosting (EVH) get their requests by host, so the child
 * answers; those of SNI only get what comes with TLS, so the door answers, and the child where
 * visitors are sent to https.
 *
 * Port 80 of a door is opened together with the attachment of a second set, the mark, and closed
 * together with its removal: whoever comes sees that it is temporary, whichever run has opened it,
 * and takes part. The last answer to leave closes it. Sets are told by their names, also those of
 * another prefix: digits at their ends, or behind the prefix, that nobody types. */

#include "targets/avi.h"

#define CERTAUTO__AVI_ANSWER "-acme-" /* in the names of answers and marks */
#define CERTAUTO__AVI_MARK "-acme-port80-"
#define CERTAUTO__AVI_PAGE 200 /* objects in an answer: most that a controller gives */

enum certauto__avi_place {
	CERTAUTO__AVI_DOOR,
	CERTAUTO__AVI_CHILD,
	CERTAUTO__AVI_PLACES
};

/* What is looked at of a virtual service: indexes of the values of certauto__rest_rows(). */
enum {
	CERTAUTO__AVI_VS_UUID,
	CERTAUTO__AVI_VS_NAME,
	CERTAUTO__AVI_VS_ENABLED,
	CERTAUTO__AVI_VS_TYPE,
	CERTAUTO__AVI_VS_VH_TYPE,
	CERTAUTO__AVI_VS_PARENT,
	CERTAUTO__AVI_VS_PROFILE,
	CERTAUTO__AVI_VS_PORTS,
	CERTAUTO__AVI_VS_ENDS,
	CERTAUTO__AVI_VS_TLS,
	CERTAUTO__AVI_VS_HTTP2,
	CERTAUTO__AVI_VS_SETS,
	CERTAUTO__AVI_VS_INDEXES,
	CERTAUTO__AVI_VS_DOMAINS,
	CERTAUTO__AVI_VS_HOSTS,
	CERTAUTO__AVI_VS_N
};
extern const char *const certauto__avi_vs_fields[CERTAUTO__AVI_VS_N + 1];
/* The HTTP status of an answer that came whole; 0: none did. */
int certauto__avi_status(const certauto__exchange *x);
/* A refusal that may be so because somebody else was quicker, or is changing the object: a look
 * tells. */
int certauto__avi_is_crowded(const certauto__exchange *x);
/* Virtual services whose member name (NULL: all) has that value, with no more than these fields. */
void certauto__avi_vs_query(certauto__buffer *query, const char *name, const char *value);
/* One of them. */
certauto__verdict certauto__avi_vs_get(certauto__exchange *x, const certauto_target *target,
	const char *uuid);
int certauto__avi_vs_is_child(const char *const *vs);
int certauto__avi_vs_is_evh(const char *const *vs);

/* The item of a list with commas at *at, which may be empty; moves *at on. 0: there is none. */
int certauto__avi_item(char *out, size_t size, const char **at);

/* What listens at port 80. */
struct certauto__avi_port80 {
	int is_plain, is_tls;
	int is_alone;   /* the service has that port and no other, as the one we open */
	int with_http2; /* the controller says enable_http2 of each service */
	int item;       /* which service it is */
};
void certauto__avi_port80(struct certauto__avi_port80 *out, const char *const *vs);
/* The one service that we open, as member "services" of an "add" or "delete". */
void certauto__avi_put_port80(certauto__json *w, int with_http2);

/* A policy set that is attached. */
struct certauto__avi_set {
	char uuid[CERTAUTO__AVI_UUID];
	char name[CERTAUTO__AVI_NAME]; /* "" if the controller does not say it */
	char index[24];
	int item;                      /* which of them it is */
};
struct certauto__avi_sets {
	const char *sets, *indexes; /* what is left of both lists */
	int n;
};
void certauto__avi_sets_begin(struct certauto__avi_sets *at, const char *const *vs);
int certauto__avi_sets_next(struct certauto__avi_sets *at, struct certauto__avi_set *out);
/* Up to two of them as member "http_policies" of an "add" or "delete"; uuid NULL: not that one. */
void certauto__avi_put_sets(certauto__json *w, const char *uuid, const char *index,
	const char *mark, const char *mark_index);
/* The sets of that name. */
certauto__verdict certauto__avi_set_get(certauto__exchange *x, const certauto_target *target,
	const char *name);
int certauto__avi_is_mark(const char *set_name);
/* The same for all who open port 80 of that virtual service with that prefix. */
void certauto__avi_mark_name(char out[CERTAUTO__AVI_NAME], const certauto_target *target,
	const char *door);
/* The mark that is attached; 0: none is. own: UUID of one that is known, or NULL. */
int certauto__avi_mark(struct certauto__avi_set *out, const char *const *vs, const char *own);
/* 1: sets are attached that the controller has not told the names of. */
int certauto__avi_is_nameless(const char *const *vs);
/* 1: an answer is attached, other than that one. */
int certauto__avi_has_answer(const char *const *vs, const char *but_uuid);

/* What is there now, as volatile facts: of the door ".vs.port80" as avi.h has it, ".vs.tls80" if
 * that port speaks TLS, ".vs.http2" as with_http2; of both the sets, to be gone through. */
void certauto__avi_note(certauto_job *job, enum certauto__avi_place place, const char *const *vs);
void certauto__avi_noted(struct certauto__avi_sets *at, const certauto_job *job,
	enum certauto__avi_place place);

/* Takes a policy set away, whatever is there of it: detaches, closes port 80 if it was opened and
 * nobody else needs it, deletes. The child's key is the name of the set; "" for that of the facts
 * "name" and "token", whenever it was made. env: certauto_target. Facts of the parent that are used
 * if its fact "object" is that name: "set"; of each place "door", "child" its index "at.0", "at.1";
 * and "mark" and "mark.name". */
extern const struct certauto__table certauto__avi_leave;

#endif
