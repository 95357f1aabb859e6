/* SPDX-License-Identifier: Apache-2.0 */
/* Superseded certificates: all but the newest few are removed, for each that stays will one day be
 * an alarm. One that somebody has come to use stays. */

#include "targets/nsx_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

/* ".older": "CREATED/ID", with the time in so many digits that it sorts as text. */
void certauto__nsx_older(certauto_job *job, const char *id, const char *created)
{
	char item[CERTAUTO__NSX_NAME];
	int64_t at = 0;

	if (created != NULL)
		(void)certauto__number_parse(created, 0, INT64_MAX, &at);
	/* What is too long is left alone: cut, it would be another's. */
	if ((size_t)snprintf(item, sizeof(item), "%019lld/%s", (long long)at, id) < sizeof(item))
		certauto__device_list_add(job, ".older", item);
}

/* Some releases make an object of each certificate of a chain, each time. One that is there once
 * more, with the new certificate, is of no more use; another may be what the chain of one that is
 * kept goes through. */
void certauto__nsx_twin(certauto_job *job, const char *id, const char *print, int now)
{
	char item[CERTAUTO__NSX_NAME];

	if ((size_t)snprintf(item, sizeof(item), "%.64s/%s", print, id) < sizeof(item))
		certauto__device_list_add(job, now ? ".now" : ".twins", now ? print : item);
}

static void choose_twins(certauto_job *job)
{
	const char *twins = certauto__fact_own(job, ".twins");
	char item[CERTAUTO__NSX_NAME], *id;

	while (certauto__device_item(item, sizeof(item), &twins)) {
		if ((id = strchr(item, '/')) == NULL)
			continue;
		*id++ = '\0';
		if (certauto__device_listed(certauto__fact_own(job, ".now"), item))
			certauto__device_list_add(job, "tidy", id);
	}
}

/* How many of the others are newer. */
static int rank_of(const char *list, const char *item)
{
	char other[CERTAUTO__NSX_NAME];
	int rank = 0;

	while (certauto__device_item(other, sizeof(other), &list))
		rank += strcmp(other, item) > 0;
	return rank;
}

static void choose(certauto_job *job)
{
	const char *list = certauto__fact_own(job, ".older"), *at = list;
	int64_t keep = certauto__option_number(certauto__nsx_target(job), "keep_old");
	char item[CERTAUTO__NSX_NAME];

	while (certauto__device_item(item, sizeof(item), &at)) {
		if (rank_of(list, item) >= keep)
			certauto__device_list_add(job, "tidy", strchr(item, '/') + 1);
	}
}

/* There is no way back from here: what was noted for it is no more to be followed. */
certauto__verdict certauto__nsx_end_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	choose_twins(job);
	choose(job);
	certauto__fact_set(job, "switch", NULL);
	return CERTAUTO__NEXT;
}

int certauto__nsx_tidy_each(certauto_job *job)
{
	const char *at = certauto__fact_own(job, "tidy");
	char id[CERTAUTO__NSX_NAME];
	int n = 0;

	while (certauto__device_item(id, sizeof(id), &at))
		n++;
	return n;
}

certauto__verdict certauto__nsx_tidy_ask(certauto_job *job, certauto__exchange *x)
{
	char id[CERTAUTO__NSX_NAME] = "";

	certauto__nsx_value(id, sizeof(id), certauto__fact_own(job, "tidy"), certauto__index(job));
	if (id[0] == '\0')
		return CERTAUTO__NEXT;
	return certauto__nsx_call_on(x, certauto__nsx_target(job), "DELETE",
		certauto__job_table(job) == &certauto__nsx_lb ? CERTAUTO__NSX_POLICY "/"
							      : CERTAUTO__NSX_CERTIFICATES "/",
		id, "");
}

certauto__verdict certauto__nsx_tidy_read(certauto_job *job, certauto__exchange *x)
{
	char id[CERTAUTO__NSX_NAME] = "";

	if (!certauto__nsx_is_no(x) || certauto__nsx_is_missing(x) || certauto__nsx_is_in_use(x))
		return CERTAUTO__NEXT;
	certauto__nsx_value(id, sizeof(id), certauto__fact_own(job, "tidy"), certauto__index(job));
	return certauto__nsx_refused_at(job, x, id, "removing the certificate");
}
