/* SPDX-License-Identifier: Apache-2.0 */
/* `certauto target test` on a cloud: whether the user is let in, which zones challenges can be put
 * into, whether the listeners are there and speak HTTPS, and whether it may look at all it will
 * have to. Nothing is changed. */

#include "targets/fe.h"

#include <string.h>

#include <certauto/error.h>

#include "targets/device.h"

#define SHOWN_ZONES 300

static const certauto_target *target_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const certauto__list *listeners_of(const certauto_job *job)
{
	return certauto__option_list(target_of(job), "listener");
}

static int is_no(const certauto__exchange *x)
{
	return x->rc < 0 || x->status >= 300;
}

/* ---- rights ---- */

/* The right that a call was refused for is named; of DNS to one who may want certificates on
 * listeners only, as a warning. */
static certauto__verdict no_right(certauto_job *job, const certauto__exchange *x,
	const char *right, const char *object, const char *doing)
{
	certauto_error error = {0};

	certauto__fe_tell(&error, x, target_of(job), object, doing);
	if (error.code != CERTAUTO_EPERM)
		return certauto__fail_with(job, &error);
	certauto__error_prefix(&error, "the right %s is missing", right);
	if (!certauto__text_starts(right, "dns:") || listeners_of(job)->n == 0)
		return certauto__fail_with(job, &error);
	certauto__warn(job, target_of(job)->label, "%s: dns-01 challenges cannot be answered",
		certauto_error_message(&error));
	certauto__error_clear(&error);
	return CERTAUTO__NEXT;
}

/* ---- zones ---- */

static int zone_each(certauto_job *job)
{
	size_t told = certauto__option_list(target_of(job), "zone_id")->n;

	return told > 0 ? (int)told : 1;
}

static certauto__verdict zone_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto__list *told = certauto__option_list(target_of(job), "zone_id");
	const char *path[] = {"/zones/", NULL, NULL};

	if (told->n == 0)
		return certauto__fe_call(
			job, x, CERTAUTO__FE_DNS, "GET", "/zones", "type=public&limit=500");
	path[1] = told->items[certauto__index(job)];
	return certauto__fe_call_at(job, x, CERTAUTO__FE_DNS, "GET", path, NULL);
}

static int zone_row(void *arg, const char *const *values)
{
	certauto_job *job = arg;
	const char *shown = certauto__fact_own(job, ".zones");

	if (values[0] == NULL || values[1] == NULL || strlen(values[0]) >= CERTAUTO__FE_ID)
		return 0;
	certauto__fact_set(job, ".zone", values[0]);
	if (shown == NULL || strlen(shown) < SHOWN_ZONES)
		certauto__fact_printf(job, ".zones", "%s%s%.253s", shown != NULL ? shown : "",
			shown != NULL ? ", " : "", values[1]);
	return 0;
}

static certauto__verdict zone_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"id", "name", NULL};
	int is_told = certauto__option_list(target_of(job), "zone_id")->n > 0, rc;
	certauto_error *err = certauto__job_error_of(job);
	char marker[CERTAUTO__FE_ID];

	if (is_no(x))
		return no_right(job, x, is_told ? "dns:zone:get" : "dns:zone:list", "zones",
			"looking for public zones");
	rc = is_told ? certauto__rest_object(x, fields, zone_row, job, err)
		     : certauto__fe_rows(x, "zones", fields, zone_row, job, marker, err);
	return rc < 0 ? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

static certauto__verdict zones_ask(certauto_job *job, certauto__exchange *x)
{
	const char *shown = certauto__fact_own(job, ".zones"), *label = target_of(job)->label;
	certauto__buffer text = CERTAUTO__BUFFER(8 * CERTAUTO__SHOWN_MAX);

	(void)x;
	certauto__text_escape(&text, shown != NULL ? shown : "none",
		strlen(shown != NULL ? shown : "none"));
	if (shown != NULL || listeners_of(job)->n > 0)
		certauto__progress(job, label, "public zones: %s", certauto__buffer_text(&text));
	certauto__buffer_free(&text);
	if (shown != NULL || listeners_of(job)->n > 0)
		return CERTAUTO__NEXT;
	certauto__fail(job, CERTAUTO_ENOTFOUND, label,
		"%s: there is no public zone in this account and project, and no listener is set: "
		"it could do nothing", label);
	return CERTAUTO__FAILED;
}

static certauto__verdict sets_ask(certauto_job *job, certauto__exchange *x)
{
	const char *zone = certauto__fact_own(job, ".zone");
	const char *const path[] = {"/zones/", zone, "/recordsets", NULL};

	if (zone == NULL)
		return CERTAUTO__NEXT;
	return certauto__fe_call_at(job, x, CERTAUTO__FE_DNS, "GET", path, "type=TXT&limit=1");
}

static certauto__verdict sets_read(certauto_job *job, certauto__exchange *x)
{
	if (is_no(x))
		return no_right(job, x, "dns:recordset:list", "record sets",
			"looking at record sets");
	return CERTAUTO__NEXT;
}

/* ---- ELB ---- */

static enum certauto__fe_service elb_of(const certauto_job *job)
{
	return certauto__fact_is(job, ".api", "v2.0") ? CERTAUTO__FE_ELB_V2 : CERTAUTO__FE_ELB;
}

/* Which API it is comes out here. */
static certauto__verdict certificates_ask(certauto_job *job, certauto__exchange *x)
{
	const char *api = certauto__option_text(target_of(job), "elb_api");

	if (listeners_of(job)->n == 0)
		return CERTAUTO__NEXT;
	if (certauto__fact_own(job, ".api") == NULL)
		certauto__fact_set(job, ".api", strcmp(api, "auto") == 0 ? "v3" : api);
	return certauto__fe_call(job, x, elb_of(job), "GET", "/certificates", "limit=1");
}

static certauto__verdict certificates_read(certauto_job *job, certauto__exchange *x)
{
	const char *api = certauto__option_text(target_of(job), "elb_api");

	if (certauto__fe_is_unknown(x) && strcmp(api, "auto") == 0 &&
		elb_of(job) == CERTAUTO__FE_ELB) {
		certauto__fact_set(job, ".api", "v2.0");
		return certauto__again(job, 0);
	}
	if (is_no(x))
		return no_right(job, x, "elb:certificates:list", "certificates",
			"looking at certificates");
	certauto__progress(job, target_of(job)->label, "ELB API %s",
		certauto__fact_own(job, ".api"));
	return CERTAUTO__NEXT;
}

static int listener_each(certauto_job *job)
{
	return (int)listeners_of(job)->n;
}

static const char *listener_id(const certauto_job *job)
{
	const char *id = listeners_of(job)->items[certauto__index(job)];

	return id + (certauto__text_starts(id, "sni:") ? strlen("sni:") : 0);
}

static certauto__verdict listener_ask(certauto_job *job, certauto__exchange *x)
{
	const char *const path[] = {"/listeners/", listener_id(job), NULL};

	return certauto__fe_call_at(job, x, elb_of(job), "GET", path, NULL);
}

static int listener_row(void *arg, const char *const *values)
{
	size_t i;

	for (i = 0; i < 2; i++)
		certauto__fact_set(arg, i == 0 ? ".protocol" : ".balancer", values[i]);
	return 0;
}

static certauto__verdict listener_wrong(certauto_job *job, const char *protocol)
{
	const char *id = listener_id(job);
	certauto_error error = {0};

	certauto__error_set(&error, CERTAUTO_EREFUSED, id,
		"the listener %s speaks %.32s: it has no certificate", id,
		protocol);
	certauto__device_sign(&error, target_of(job));
	certauto__error_advise(&error,
		"name one whose protocol is HTTPS (TERMINATED_HTTPS on shared load balancers)");
	return certauto__fail_with(job, &error);
}

static certauto__verdict listener_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"listener.protocol", "listener.loadbalancers[].id",
		NULL};
	const char *protocol;

	if (is_no(x))
		return no_right(job, x, "elb:listeners:get", listener_id(job),
			"looking at the listener");
	if (certauto__rest_object(x, fields, listener_row, job,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	protocol = certauto__fact_own(job, ".protocol");
	if (!certauto__fe_serves_tls(protocol))
		return listener_wrong(job, protocol);
	return CERTAUTO__NEXT;
}

static certauto__verdict balancer_ask(certauto_job *job, certauto__exchange *x)
{
	const char *id = certauto__fact_own(job, ".balancer");
	const char *const path[] = {"/loadbalancers/", id, NULL};

	if (id == NULL || strlen(id) >= CERTAUTO__FE_ID || strchr(id, ',') != NULL)
		return CERTAUTO__NEXT;
	return certauto__fe_call_at(job, x, elb_of(job), "GET", path, NULL);
}

static certauto__verdict balancer_read(certauto_job *job, certauto__exchange *x)
{
	if (is_no(x))
		return no_right(job, x, "elb:loadbalancers:get",
			certauto__fact_own(job, ".balancer"), "looking at the load balancer");
	return CERTAUTO__NEXT;
}

static certauto__verdict quota_ask(certauto_job *job, certauto__exchange *x)
{
	if (listeners_of(job)->n == 0 || elb_of(job) == CERTAUTO__FE_ELB_V2)
		return CERTAUTO__NEXT;
	return certauto__fe_call(job, x, CERTAUTO__FE_ELB, "GET", "/quotas", NULL);
}

static int quota_row(void *arg, const char *const *values)
{
	if (values[0] != NULL && strcmp(values[0], "-1") != 0)
		certauto__progress(arg, target_of(arg)->label,
			"certificates that the ELB may have: %.16s", values[0]);
	return 0;
}

static certauto__verdict quota_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"quota.certificate", NULL};

	if (is_no(x))
		return no_right(job, x, "elb:quotas:list", "quotas", "looking at quotas");
	return certauto__rest_object(x, fields, quota_row, job,
		certauto__job_error_of(job)) < 0 ? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

#define STEP(step) \
	{ \
		.name = #step, .ask = step##_ask, .read = step##_read, \
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS \
	}
#define STEP_EACH(step) \
	{ \
		.name = #step, .ask = step##_ask, .read = step##_read, .each = step##_each, \
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS \
	}

static const struct certauto__step test_steps[] = {
	STEP_EACH(zone),
	{.name = "zones", .ask = zones_ask, .flags = CERTAUTO__READS},
	STEP(sets),
	STEP(certificates),
	STEP_EACH(listener),
	STEP(balancer),
	STEP(quota),
};

const struct certauto__table certauto__fe_test = {
	.name = "fe-test",
	.steps = test_steps,
	.n_steps = sizeof(test_steps) / sizeof(test_steps[0]),
};
