/* SPDX-License-Identifier: Apache-2.0 */
/* dns-01 in the DNS of a cloud: a value of the TXT record set of a name, added and taken away
 * again. The zone is found in fe_zone.c; the set, which is not ours alone, is looked after in
 * fe_record.c. */

#include "targets/fe_dns.h"

#include <string.h>

static const char *zone_of(const certauto_job *job)
{
	return certauto__fact_own(job, "zone");
}

static const char *record_of(const certauto_job *job)
{
	return certauto__fact(job, "record");
}

/* A plan has none. */
static const char *value_of(const certauto_job *job)
{
	const char *value = certauto__fact(job, "txt");

	return value != NULL ? value : "VALUE";
}

/* ---- zone ---- */

static certauto__verdict zone_need(certauto_job *job)
{
	const struct certauto__fe_zone *zone = NULL;
	certauto__verdict verdict;

	if ((verdict = certauto__fe_zones_need(job)) != CERTAUTO__NEXT)
		return verdict;
	if (certauto__fe_zone_find(&zone, job, record_of(job), certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	certauto__fact_set(job, "zone", zone->id);
	return CERTAUTO__NEXT;
}

static certauto__verdict zone_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return zone_need(job);
}

/* ---- want ---- */

/* A step of its own: whose request brings the value there is not told before, and from then on this
 * job's record must say that it is to be taken away. */
static certauto__verdict want_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__planning(job))
		return CERTAUTO__NEXT;
	return certauto__fe_record_want(job, zone_of(job), record_of(job), value_of(job));
}

/* Also asked for without a run before it: then the zone is not known yet. */
static certauto__verdict want_undo(certauto_job *job, certauto__exchange *x)
{
	certauto__verdict verdict = zone_of(job) != NULL ? CERTAUTO__NEXT : zone_need(job);

	(void)x;
	if (verdict != CERTAUTO__NEXT)
		return verdict;
	return certauto__fe_record_gone(job, zone_of(job), record_of(job), value_of(job));
}

/* ---- record ---- */

static certauto__verdict record_ask(certauto_job *job, certauto__exchange *x)
{
	const char *const path[] = {"/zones/", zone_of(job), "/recordsets", NULL};

	if (!certauto__planning(job))
		return certauto__fe_record_there(job, zone_of(job), record_of(job), value_of(job));
	return certauto__fe_call_at(job, x, CERTAUTO__FE_DNS, "POST", path, NULL);
}

static const struct certauto__step present_steps[] = {
	CERTAUTO__STEP_DNS_DELEGATION,
	{.name = "zone", .ask = zone_ask, .flags = CERTAUTO__READS},
	{.name = "want", .ask = want_ask, .undo = want_undo},
	{.name = "record", .ask = record_ask},
	CERTAUTO__STEP_DNS_SEEN,
};

const struct certauto__table certauto__fe_present = {
	.name = "fe-present",
	.steps = present_steps,
	.n_steps = sizeof(present_steps) / sizeof(present_steps[0]),
	.undo_ms = CERTAUTO__FE_UNDO_MS,
};
