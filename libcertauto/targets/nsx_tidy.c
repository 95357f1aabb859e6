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
	char item[CERTAUTO__NSX_ID + 32];
	int64_t at = 0;

	if (created != NULL)
		(void)certauto__number_parse(created, 0, INT64_MAX, &at);
	snprintf(item, sizeof(item), "%019lld/%.*s", (long long)at, CERTAUTO__NSX_ID, id);
	certauto__nsx_list_add(job, ".older", item);
}

/* Some releases make an object of each certificate of a chain, each time. One that is there once
 * more, with the new certificate, is of no more use; another may be what the chain of one that is
 * kept goes through. */
void certauto__nsx_twin(certauto_job *job, const char *id, const char *print, int now)
{
	char item[CERTAUTO__NSX_ID + 80];

	snprintf(item, sizeof(item), "%.64s/%.*s", print, CERTAUTO__NSX_ID, id);
	certauto__nsx_list_add(job, now ? ".now" : ".twins", now ? print : item);
}

static void choose_twins(certauto_job *job)
{
	const char *twins = certauto__fact_own(job, ".twins");
	char item[CERTAUTO__NSX_ID + 80], *id;
	int i;

	for (i = 0; certauto__nsx_value(item, sizeof(item), twins, i); i++) {
		if ((id = strchr(item, '/')) == NULL)
			continue;
		*id++ = '\0';
		if (certauto__nsx_listed(certauto__fact_own(job, ".now"), item))
			certauto__nsx_list_add(job, "tidy", id);
	}
}

/* How many of the others are newer. */
static int rank_of(const char *list, const char *item)
{
	char other[CERTAUTO__NSX_ID + 32];
	int i, rank = 0;

	for (i = 0; certauto__nsx_value(other, sizeof(other), list, i); i++)
		rank += strcmp(other, item) > 0;
	return rank;
}

static void choose(certauto_job *job)
{
	const char *list = certauto__fact_own(job, ".older");
	int64_t keep = certauto__option_number(certauto__nsx_target(job), "keep_old");
	char item[CERTAUTO__NSX_ID + 32];
	int i;

	for (i = 0; certauto__nsx_value(item, sizeof(item), list, i); i++) {
		if (rank_of(list, item) >= keep)
			certauto__nsx_list_add(job, "tidy", strchr(item, '/') + 1);
	}
}

certauto__verdict certauto__nsx_end_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	choose_twins(job);
	choose(job);
	return CERTAUTO__NEXT;
}

int certauto__nsx_tidy_each(certauto_job *job)
{
	char id[CERTAUTO__NSX_ID];
	int n = 0;

	while (certauto__nsx_value(id, sizeof(id), certauto__fact_own(job, "tidy"), n))
		n++;
	return n;
}

certauto__verdict certauto__nsx_tidy_ask(certauto_job *job, certauto__exchange *x)
{
	char id[CERTAUTO__NSX_ID] = "";

	certauto__nsx_value(id, sizeof(id), certauto__fact_own(job, "tidy"), certauto__index(job));
	return certauto__nsx_call_on(x, certauto__nsx_target(job), "DELETE",
		certauto__job_table(job) == &certauto__nsx_lb ? CERTAUTO__NSX_POLICY "/"
							      : CERTAUTO__NSX_CERTIFICATES "/",
		id, "");
}

certauto__verdict certauto__nsx_tidy_read(certauto_job *job, certauto__exchange *x)
{
	char id[CERTAUTO__NSX_ID] = "";

	if (!certauto__nsx_is_no(x) || certauto__nsx_is_missing(x) || certauto__nsx_is_in_use(x))
		return CERTAUTO__NEXT;
	certauto__nsx_value(id, sizeof(id), certauto__fact_own(job, "tidy"), certauto__index(job));
	return certauto__nsx_refused_at(job, x, id, "removing the certificate");
}
