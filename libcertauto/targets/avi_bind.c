/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual services that use a certificate: its object is in their list. An ordinary one, or a
 * child for SNI, has at most one for each kind of key: ours takes the place of the other one of its
 * kind. A parent of enhanced virtual hosting (EVH) has them for its children, and any number: there
 * ours takes the place of what certauto has made for the same certificate under another name. */

#include "targets/avi_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

static const struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const char *vs_option(const certauto_job *job, int j)
{
	return certauto__option_list(certauto__avi_target(job), "bind")->items[j];
}

/* ---- observe ---- */

int certauto__avi_vs_each(certauto_job *job)
{
	return (int)certauto__option_list(deployment_of(job)->target, "bind")->n;
}

/* By its name or UUID; then, if it is a child that cannot have certificates, its parent. */
certauto__verdict certauto__avi_vs_ask(certauto_job *job, certauto__exchange *x)
{
	static const char fields[] =
		"name,type,vh_type,vh_parent_vs_ref,vh_matches,enabled,services,"
		"ssl_key_and_certificate_refs";
	const char *name = vs_option(job, certauto__index(job));
	char value[CERTAUTO__AVI_NAME];
	const char *key = certauto__avi_key(value, CERTAUTO__AVI_VS, name);

	if (certauto__step_attempts(job) > 1)
		return certauto__avi_get(x, certauto__avi_target(job), CERTAUTO__AVI_VS, "uuid",
			certauto__fact_own(job, ".parent"), fields);
	certauto__fact_set(job, ".parent", NULL);
	return certauto__avi_get(
		x, certauto__avi_target(job), CERTAUTO__AVI_VS, key, value, fields);
}

enum { VS_UUID, VS_NAME, VS_TYPE, VS_VH_TYPE, VS_PARENT, VS_HOSTS, VS_ENABLED, VS_TLS, VS_REFS };

static int is_child(const char *const *row)
{
	return certauto__text_equal(row[VS_TYPE], "VS_TYPE_VH_CHILD");
}

static int is_enhanced(const char *const *row)
{
	return certauto__text_equal(row[VS_VH_TYPE], "VS_TYPE_VH_ENHANCED") ||
		(is_child(row) && row[VS_HOSTS] != NULL);
}

/* Why ours cannot be bound to it. A child has the listeners of its parent. */
static void see_obstacle(certauto_job *job, const char *const *row)
{
	const char *why = NULL;

	if (certauto__text_equal(row[VS_ENABLED], "false"))
		why = "is disabled";
	else if (!is_child(row) && !certauto__avi_listed(row[VS_TLS], "true"))
		why = "has no service with SSL";
	certauto__fact_set(job, ".obstacle", why);
}

/* Whatever the controller makes of a filter. */
static int is_wanted(const certauto_job *job, const char *const *row)
{
	char value[CERTAUTO__AVI_NAME];
	const char *key = certauto__avi_key(
		value, CERTAUTO__AVI_VS, vs_option(job, certauto__index(job)));

	if (row[VS_UUID] == NULL || certauto__step_attempts(job) > 1)
		return certauto__fact_is(job, ".parent", row[VS_UUID]);
	return certauto__text_equal(strcmp(key, "uuid") == 0 ? row[VS_UUID] : row[VS_NAME], value);
}

static int vs_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	int j = certauto__index(job);
	char bound[32];

	if (row[VS_UUID] == NULL || !is_wanted(job, row))
		return 0;
	if (is_child(row) && is_enhanced(row) && row[VS_PARENT] != NULL) {
		certauto__avi_refs(job, ".parent", row[VS_PARENT]);
		return 0;
	}
	certauto__fact_set(job, ".found", row[VS_UUID]);
	certauto__fact_nth_set(job, ".many", j, is_enhanced(row) ? "yes" : NULL);
	see_obstacle(job, row);
	snprintf(bound, sizeof(bound), ".bound.%d", j);
	certauto__avi_refs(job, bound, row[VS_REFS]);
	return 0;
}

/* What was bound is noted once, as what was in the object; of another virtual service, the option
 * having changed, anew; and so is what others have bound before ours was, or in its place. */
static void note_bound(certauto_job *job, int j)
{
	const char *bound = certauto__fact_nth(job, ".bound", j);
	int is_bound = certauto__avi_listed(bound, certauto__fact_own(job, ".uuid"));

	if (certauto__fact_own(job, "switch") == NULL || !is_bound ||
		!certauto__text_equal(certauto__fact_nth(job, "vs", j),
			certauto__fact_own(job, ".found"))) {
		certauto__fact_nth_set(job, "bound", j, bound != NULL ? bound : "");
		certauto__fact_nth_set(job, "out", j, NULL);
	}
	certauto__fact_nth_set(job, "vs", j, certauto__fact_own(job, ".found"));
	certauto__fact_nth_set(job, ".due", j, is_bound ? NULL : "yes");
}

certauto__verdict certauto__avi_vs_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"uuid", "name", "type", "vh_type", "vh_parent_vs_ref",
		"vh_matches[].host", "enabled", "services[].enable_ssl",
		"ssl_key_and_certificate_refs[]", NULL};
	int j = certauto__index(job);
	const char *name = vs_option(job, j), *why;

	if (certauto__avi_is_no(x))
		return certauto__avi_refused_at(job, x, name, "reading the virtual service");
	certauto__fact_set(job, ".found", NULL);
	if (certauto__rest_rows(x, fields, vs_row, job, NULL, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, ".found") == NULL) {
		if (certauto__fact_own(job, ".parent") != NULL && certauto__step_attempts(job) == 1)
			return certauto__again(job, 0);
		return certauto__avi_stop(job, CERTAUTO_ENOTFOUND, name,
			"name existing ones as option bind, and their tenant as option tenant",
			"there is no virtual service \"%s\" in the tenant \"%s\"", name,
			certauto__option_text(deployment_of(job)->target, "tenant"));
	}
	note_bound(job, j);
	why = certauto__fact_own(job, ".obstacle");
	if (why != NULL && certauto__fact_nth(job, ".due", j) != NULL)
		return certauto__avi_stop(job, CERTAUTO_EREFUSED, name,
			"enable it, give it a port with SSL, or take it out of the option bind",
			"the certificate cannot be bound to the virtual service \"%s\": it %s",
			name, why);
	return CERTAUTO__NEXT;
}

/* ---- what else is bound there ---- */

/* A parent may have more of them than can be asked for one by one. */
certauto__verdict certauto__avi_others_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	int j = certauto__index(job);
	const char *bound = certauto__fact_nth(job, ".bound", j);
	char name[CERTAUTO__AVI_NAME];

	if (certauto__fact_nth(job, ".due", j) == NULL || bound == NULL)
		return CERTAUTO__NEXT;
	if (certauto__fact_nth(job, ".many", j) == NULL)
		return certauto__avi_get(x, deployment->target, CERTAUTO__AVI_CERT, "uuid.in",
			bound, "name,key_params");
	snprintf(name, sizeof(name), "%s-%s-",
		certauto__option_text(deployment->target, "prefix"), deployment->name);
	return certauto__avi_get(x, deployment->target, CERTAUTO__AVI_CERT, "name.contains", name,
		"name,key_params");
}

enum { OTHER_UUID, OTHER_NAME, OTHER_ALGORITHM };

static const char *algorithm_of(const struct certauto__deployment *deployment)
{
	return strcmp(certauto__deployment_family(deployment), "rsa") == 0
		? "SSL_KEY_ALGORITHM_RSA" : "SSL_KEY_ALGORITHM_EC";
}

/* As certauto calls the object of this certificate where the option certificate does not tell it
 * otherwise. With another type of key it is of no more use, if the certificate has one key. */
static int is_older(const struct certauto__deployment *deployment, const char *name)
{
	const char *prefix = certauto__option_text(deployment->target, "prefix");
	const char *const *type;
	char own[CERTAUTO__AVI_NAME];

	for (type = certauto__key_types(); *type != NULL; type++) {
		snprintf(own, sizeof(own), "%s-%s-%s", prefix, deployment->name, *type);
		if (strcmp(own, name) == 0)
			return deployment->n_keys <= 1 ||
				strcmp(*type, deployment->key_type) == 0;
	}
	return 0;
}

/* Of the same kind; or what the controller comes with, to be replaced by a real one. */
static int is_in_place(const struct certauto__deployment *deployment, const char *const *row)
{
	return certauto__text_equal(row[OTHER_ALGORITHM], algorithm_of(deployment)) ||
		certauto__text_starts(row[OTHER_NAME], "System-Default-Cert");
}

static int others_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	const struct certauto__deployment *deployment = deployment_of(job);
	int j = certauto__index(job), is_ours;
	char out[32];

	if (row[OTHER_NAME] == NULL ||
		!certauto__avi_listed(certauto__fact_nth(job, ".bound", j), row[OTHER_UUID]))
		return 0;
	is_ours = is_older(deployment, row[OTHER_NAME]);
	if (is_ours)
		certauto__avi_list_add(job, "older", row[OTHER_UUID]);
	snprintf(out, sizeof(out), "out.%d", j);
	if (is_ours ||
		(certauto__fact_nth(job, ".many", j) == NULL && is_in_place(deployment, row)))
		certauto__avi_list_add(job, out, row[OTHER_UUID]);
	return 0;
}

certauto__verdict certauto__avi_others_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"uuid", "name", "key_params.algorithm", NULL};

	if (certauto__avi_is_no(x))
		return certauto__avi_refused_at(job, x, vs_option(job, certauto__index(job)),
			"reading the certificates of the virtual service");
	if (certauto__rest_rows(x, fields, others_row, job, NULL, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	return CERTAUTO__NEXT;
}

/* ---- bind ---- */

/* References to certificates, as JSON. */
static void put_refs(certauto__buffer *out, const char *uuids)
{
	char uuid[CERTAUTO__AVI_UUID], ref[2 * CERTAUTO__AVI_UUID];
	certauto__json w;

	certauto__json_start(&w, out, 0);
	certauto__json_array(&w);
	while (certauto__avi_item(uuid, sizeof(uuid), &uuids)) {
		snprintf(ref, sizeof(ref), "/api/%s/%s", CERTAUTO__AVI_CERT, uuid);
		certauto__json_text(&w, ref);
	}
	certauto__json_array_end(&w);
}

/* now, with what is in out replaced by what is in in. */
static void exchange(certauto__buffer *list, const char *now, const char *in, const char *out)
{
	char uuid[CERTAUTO__AVI_UUID];
	int is_in = 0;

	for (;;) {
		int is_item = certauto__avi_item(uuid, sizeof(uuid), &now);
		int is_place = !is_item || certauto__avi_listed(in, uuid) ||
			certauto__avi_listed(out, uuid);

		if (!is_place)
			certauto__buffer_printf(list, ",%s", uuid);
		else if (!is_in && in != NULL && in[0] != '\0')
			certauto__buffer_printf(list, ",%s", in);
		is_in |= is_place;
		if (!is_item)
			return;
	}
}

static int now_row(void *arg, const char *const *row)
{
	certauto__avi_refs(arg, ".now", row[0]);
	return 0;
}

/* The list of a virtual service that was read whole: as it is, ".now", and as it is to be, ".list".
 * 1; 0: it is so already; or a code. */
static int see_list(certauto_job *job, const certauto__exchange *x, const char *in, const char *out,
	certauto_error *err)
{
	static const char *const fields[] = {"ssl_key_and_certificate_refs[]", NULL};
	certauto__buffer list = CERTAUTO__BUFFER(64 * 1024);
	const char *now;
	int rc;

	certauto__avi_keep(job, x);
	if ((rc = certauto__rest_object(x, fields, now_row, job, err)) < 0)
		return rc;
	now = certauto__fact_own(job, ".now");
	exchange(&list, now, in, out);
	certauto__fact_set(job, ".list", list.len > 0 ? list.data + 1 : "");
	rc = list.rc < 0 ? certauto__error_nomem(err)
			 : !certauto__fact_is(job, ".list", now != NULL ? now : "");
	certauto__buffer_free(&list);
	return rc;
}

/* Every other time the virtual service is read whole; the other times it is written as it was read,
 * but for that list. */
static certauto__verdict get_or_put(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__avi_target(job);
	const char *vs = certauto__fact_nth(job, "vs", certauto__index(job));
	int is_put = certauto__step_attempts(job) % 2 == 0 || certauto__planning(job), rc;
	certauto__buffer list = CERTAUTO__BUFFER(64 * 1024);
	struct certauto__rest_edit edit = {"ssl_key_and_certificate_refs", NULL};
	certauto__verdict verdict = certauto__avi_call(
		x, target, is_put ? "PUT" : "GET", CERTAUTO__AVI_VS, vs, NULL);

	if (!is_put || certauto__planning(job))
		return verdict;
	put_refs(&list, certauto__fact_own(job, ".list"));
	edit.json = certauto__buffer_text(&list);
	rc = list.rc < 0 ? certauto__error_nomem(certauto__job_error_of(job))
			 : certauto__avi_kept(x, job, &edit, 1);
	certauto__buffer_free(&list);
	return rc < 0 ? CERTAUTO__FAILED : verdict;
}

certauto__verdict certauto__avi_bind_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_nth(job, ".due", certauto__index(job)) == NULL)
		return CERTAUTO__NEXT;
	certauto__avi_touch(job);
	return get_or_put(job, x);
}

certauto__verdict certauto__avi_bind_read(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job), is_put = certauto__step_attempts(job) % 2 == 0, rc;

	if (certauto__avi_is_stale(x) && certauto__step_attempts(job) < CERTAUTO__AVI_LOOKS)
		return certauto__again(job, 0);
	if (certauto__avi_is_no(x))
		return certauto__avi_refused_at(job, x, vs_option(job, j),
			is_put ? "binding the certificate to the virtual service"
			       : "reading the virtual service");
	if (is_put)
		return CERTAUTO__NEXT;
	rc = see_list(job, x, certauto__fact_own(job, "uuid"), certauto__fact_nth(job, "out", j),
		certauto__job_error_of(job));
	if (rc < 0)
		return CERTAUTO__FAILED;
	return rc > 0 ? certauto__again(job, 0) : CERTAUTO__NEXT;
}

/* ---- the way back ---- */

certauto__verdict certauto__avi_bind_undo(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job);

	if (certauto__fact_nth(job, "vs", j) == NULL ||
		certauto__avi_listed(
			certauto__fact_nth(job, "bound", j), certauto__fact_own(job, "uuid")))
		return CERTAUTO__NEXT;
	return get_or_put(job, x);
}

/* Ours goes, and what it took the place of comes back; what others have done there stays. */
certauto__verdict certauto__avi_bind_undo_read(certauto_job *job, certauto__exchange *x)
{
	const char *uuid = certauto__fact_own(job, "uuid");

	if (certauto__step_attempts(job) % 2 == 0)
		return certauto__avi_is_stale(x) &&
				certauto__step_attempts(job) < CERTAUTO__AVI_LOOKS
			? certauto__again(job, 0) : certauto__avi_gone(job, x);
	if (x->rc == 0 && x->status == 404)
		return CERTAUTO__NEXT;
	if (certauto__avi_is_no(x) ||
		see_list(job, x, certauto__fact_nth(job, "out", certauto__index(job)), uuid,
			&x->error) < 0)
		return CERTAUTO__FAILED;
	return certauto__avi_listed(certauto__fact_own(job, ".now"), uuid) ? certauto__again(job, 0)
									   : CERTAUTO__NEXT;
}
