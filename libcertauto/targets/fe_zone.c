/* SPDX-License-Identifier: Apache-2.0 */
/* The public zones of an account, asked for once in a run for all names, and which of them a record
 * is in. The service finds names that only have what is asked for in them: comparing is done
 * here. */

#include "targets/fe_dns.h"

#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "targets/device.h"

#define PAGES_MAX 40 /* of 500 */

/* ---- names ---- */

/* Lower case, without the last dot. 0: it is too long to be one. */
static int name_take(char out[CERTAUTO__FE_NAME], const char *name)
{
	size_t i, len = strlen(name);

	len -= len > 0 && name[len - 1] == '.';
	if (len >= CERTAUTO__FE_NAME)
		return 0;
	for (i = 0; i < len; i++)
		out[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	out[len] = '\0';
	return 1;
}

/* The record is the zone's own name, or below it. */
static int is_in(const char *record, const char *zone)
{
	size_t len = strlen(record), zone_len = strlen(zone);

	return zone_len > 0 && len >= zone_len &&
		certauto__text_equal_nocase(record + len - zone_len, zone) &&
		(len == zone_len || record[len - zone_len - 1] == '.');
}

/* ---- asking for them ---- */

static const certauto__list *told_of(const certauto_job *job)
{
	return certauto__option_list(certauto__fe_target(job), "zone_id");
}

static int list_each(certauto_job *job)
{
	const certauto__list *told = told_of(job);

	return told->n > 0 ? (int)told->n : 1;
}

static certauto__verdict list_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto__list *told = told_of(job);
	certauto__buffer text = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	struct certauto__fe_dns *dns = certauto__job_env(job);
	const char *path[] = {"/zones/", NULL, NULL};
	certauto__verdict verdict;

	if (told->n > 0) {
		path[1] = told->items[certauto__index(job)];
		return certauto__fe_call_at(job, x, CERTAUTO__FE_DNS, "GET", path, NULL);
	}
	certauto__buffer_text_add(&text, "type=public&limit=500");
	if (dns->marker[0] != '\0')
		certauto__fe_arg(&text, "marker", dns->marker);
	verdict = certauto__fe_call(
		job, x, CERTAUTO__FE_DNS, "GET", "/zones", certauto__buffer_text(&text));
	certauto__buffer_free(&text);
	return verdict;
}

static int zone_row(void *arg, const char *const *values)
{
	struct certauto__fe_dns *dns = arg;
	struct certauto__fe_zone *zone;
	char name[CERTAUTO__FE_NAME];

	if (values[0] == NULL || values[1] == NULL || strlen(values[0]) >= CERTAUTO__FE_ID ||
		strchr(values[0], '/') != NULL || !name_take(name, values[1]) ||
		certauto__text_equal(values[2], "private"))
		return 0;
	if ((zone = certauto__alloc(sizeof(*zone))) == NULL)
		return CERTAUTO_ENOMEM;
	memcpy(zone->id, values[0], strlen(values[0]) + 1);
	memcpy(zone->name, name, sizeof(name));
	zone->next = dns->zones;
	dns->zones = zone;
	return 0;
}

static certauto__verdict missing(certauto_job *job, const certauto__exchange *x)
{
	const char *id = told_of(job)->items[certauto__index(job)];
	certauto_error error = {0};

	certauto__fe_tell(&error, x, certauto__fe_target(job), id,
		"looking at the zone that zone_id names");
	certauto__error_advise(&error,
		"write the zone's id as the console shows it, or leave zone_id out");
	return certauto__fail_with(job, &error);
}

/* The one that is the right one may be among those that were not told. */
static certauto__verdict endless(certauto_job *job)
{
	certauto_error error = {0};

	certauto__error_set(&error, CERTAUTO_EPROTO, "zones",
		"the list of public zones has no end: %d pages of them came", PAGES_MAX);
	certauto__device_sign(&error, certauto__fe_target(job));
	certauto__error_advise(&error, "set zone_id");
	return certauto__fail_with(job, &error);
}

static certauto__verdict list_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"id", "name", "zone_type", NULL};
	struct certauto__fe_dns *dns = certauto__job_env(job);
	certauto_error *err = certauto__job_error_of(job);
	int is_told = told_of(job)->n > 0, rc;

	if (is_told && x->rc == 0 && x->status == 404)
		return missing(job, x);
	if (x->rc < 0 || x->status >= 300)
		return certauto__fe_refused(job, x, "zones", "asking for the public zones");
	dns->marker[0] = '\0';
	rc = is_told ? certauto__rest_object(x, fields, zone_row, dns, err)
		     : certauto__fe_rows(x, "zones", fields, zone_row, dns, dns->marker, err);
	if (rc < 0)
		return CERTAUTO__FAILED;
	if (dns->marker[0] == '\0')
		return CERTAUTO__NEXT;
	return certauto__step_attempts(job) < PAGES_MAX ? certauto__again(job, 0) : endless(job);
}

static const struct certauto__step zones_steps[] = {
	{.name = "zones",
		.ask = list_ask,
		.read = list_read,
		.each = list_each,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
};

static const struct certauto__table zones_table = {
	.name = "fe-zones",
	.steps = zones_steps,
	.n_steps = sizeof(zones_steps) / sizeof(zones_steps[0]),
};

/* ---- kept for the run ---- */

static void zones_free(struct certauto__fe_dns *dns)
{
	struct certauto__fe_zone *zone;

	while ((zone = dns->zones) != NULL) {
		dns->zones = zone->next;
		certauto__free(zone);
	}
	dns->known = 0;
	dns->marker[0] = '\0';
}

void certauto__fe_zones_forget(struct certauto__fe_dns *dns)
{
	if (!dns->listing)
		zones_free(dns);
}

static void zones_listed(certauto_job *job, void *arg)
{
	const certauto_error *error = certauto_job_error(job);
	struct certauto__fe_dns *dns = arg;

	dns->listing = 0;
	if (error != NULL) {
		certauto__queue_fail(&dns->waiting, error);
		return;
	}
	dns->known = 1;
	certauto__queue_wake(&dns->waiting, SIZE_MAX);
}

certauto__verdict certauto__fe_zones_need(certauto_job *job)
{
	struct certauto__fe_dns *dns = certauto__fe_dns(job);

	if (dns->known)
		return CERTAUTO__NEXT;
	if (!dns->listing) {
		zones_free(dns); /* of an attempt that failed half way */
		if (certauto__fe_service(job, &zones_table, dns, zones_listed,
			    certauto__job_error_of(job)) < 0)
			return CERTAUTO__FAILED;
		dns->listing = 1;
	}
	return certauto__park(job, &dns->waiting);
}

/* ---- the zone of a record ---- */

static int zone_none(const certauto_job *job, const struct certauto__fe_dns *dns,
	const char *record, certauto_error *err)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4 * CERTAUTO__SHOWN_MAX);
	const struct certauto__fe_zone *zone;

	for (zone = dns->zones; zone != NULL; zone = zone->next) {
		if (shown.len > CERTAUTO__SHOWN_MAX)
			break;
		certauto__buffer_text_add(&shown, shown.len > 0 ? ", " : "");
		certauto__text_escape(&shown, zone->name, strlen(zone->name));
	}
	certauto__error_set(err, CERTAUTO_ENOTFOUND, record,
		"no public zone has the name %s: there %s%s", record,
		dns->zones == NULL ? "is none" : "are ", certauto__buffer_text(&shown));
	certauto__buffer_free(&shown);
	certauto__device_sign(err, certauto__fe_target(job));
	return certauto__error_advise(err,
		"see that the zone is public and in this account and project, and what zone_id "
		"says; or delegate the record by a CNAME to a zone that is here");
}

static int zone_twice(const certauto_job *job, const struct certauto__fe_zone *one,
	const struct certauto__fe_zone *other, certauto_error *err)
{
	certauto__error_set(err, CERTAUTO_EREFUSED, one->name,
		"two public zones are called %s: %s and %s", one->name, other->id, one->id);
	certauto__device_sign(err, certauto__fe_target(job));
	return certauto__error_advise(err,
		"set zone_id to that of the one which the name servers of %s answer from",
		one->name);
}

int certauto__fe_zone_find(const struct certauto__fe_zone **out, const certauto_job *job,
	const char *record, certauto_error *err)
{
	const struct certauto__fe_dns *dns = certauto__fe_dns(job);
	const struct certauto__fe_zone *zone, *best = NULL, *twin = NULL;

	for (zone = dns->zones; zone != NULL; zone = zone->next) {
		if (!is_in(record, zone->name))
			continue;
		if (best == NULL || strlen(zone->name) > strlen(best->name)) {
			best = zone;
			twin = NULL;
		} else if (strcmp(zone->name, best->name) == 0 &&
			strcmp(zone->id, best->id) != 0) {
			twin = zone;
		}
	}
	if (best == NULL)
		return zone_none(job, dns, record, err);
	if (twin != NULL)
		return zone_twice(job, best, twin, err);
	*out = best;
	return 0;
}
