/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_FE_DNS_H
#define CERTAUTO_TARGETS_FE_DNS_H

/* What the DNS part of the flexibleengine target keeps in a session, for all its jobs: the zones
 * there are, and each record set that is being changed. Both are looked after by silent jobs, for
 * all that wait for it. */

#include "targets/fe.h"

#define CERTAUTO__FE_UNDO_MS 75000 /* what taking a value away may take */

struct certauto__fe_zone {
	struct certauto__fe_zone *next;
	char id[CERTAUTO__FE_ID];
	char name[CERTAUTO__FE_NAME];  /* lower case, without the last dot */
};

struct certauto__fe_record;

struct certauto__fe_dns {
	struct certauto__fe_zone *zones;
	int known, listing;            /* zones are; a job is at it, others wait */
	certauto__queue waiting;
	char marker[CERTAUTO__FE_ID];  /* of the next page */
	struct certauto__fe_record *records;
};

/* Of the session a job is in: fe_session.c. */
struct certauto__fe_dns *certauto__fe_dns(const certauto_job *job);
/* Starts a silent job in the session of another. */
int certauto__fe_service(const certauto_job *job, const struct certauto__table *table, void *env,
	void (*ended)(certauto_job *job, void *arg), certauto_error *err);

/* PARKED until the zones are known, then NEXT; FAILED. fe_zone.c */
certauto__verdict certauto__fe_zones_need(certauto_job *job);
/* The zone of a record: the longest name that it is in. ENOTFOUND, EREFUSED: there are two. */
int certauto__fe_zone_find(const struct certauto__fe_zone **out, const certauto_job *job,
	const char *record, certauto_error *err);
/* At the end of a run: it may be another list by the next. */
void certauto__fe_zones_forget(struct certauto__fe_dns *dns);

/* One value of the TXT record set of a name in a zone: fe_record.c. Wanted as long as there is a
 * job that has said so, and not the contrary since: JOIN; FAILED. */
certauto__verdict certauto__fe_record_want(certauto_job *job, const char *zone, const char *name,
	const char *value);
/* PARKED until it is there, and in effect; then NEXT; FAILED. */
certauto__verdict certauto__fe_record_there(certauto_job *job, const char *zone, const char *name,
	const char *value);
/* Says that it is not wanted any more; the same until it is gone. */
certauto__verdict certauto__fe_record_gone(certauto_job *job, const char *zone, const char *name,
	const char *value);
/* At the end of a run: others may change them until the next. */
void certauto__fe_records_forget(struct certauto__fe_dns *dns);
void certauto__fe_records_free(struct certauto__fe_dns *dns);

#endif
