/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual servers a certificate is bound to on a NetScaler: as the default one, which takes the
 * place of another of the same key type, or for SNI, which the virtual server must have switched
 * on. One pair may be bound both ways.
 *
 * A fact on bindings has lines: the first has "d" and "s" for how our certkey is bound, the others
 * are the names of the other default ones. */

#include "targets/netscaler_deploy.h"

#include <string.h>

#include <certauto/error.h>

#define LOOKS 32 /* at one virtual server that is taken back */
#define ENABLED "ENABLED"

static const struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static certauto__verdict refused_at(certauto_job *job, const certauto__exchange *x, int j,
	const char *doing)
{
	return certauto__netscaler_refuse(job, x, certauto__fact_nth(job, "vserver", j),
		doing);
}

/* ---- observe ---- */

int certauto__netscaler_vserver_each(certauto_job *job)
{
	return (int)certauto__option_list(deployment_of(job)->target, "ssl_vserver")->n;
}

static certauto__verdict get_bindings(certauto_job *job, certauto__exchange *x, int j)
{
	return certauto__netscaler_get(x, deployment_of(job)->target,
		"sslvserver_sslcertkey_binding", certauto__fact_nth(job, "vserver", j), NULL);
}

certauto__verdict certauto__netscaler_bound_ask(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job);
	const char *name =
		certauto__option_list(deployment_of(job)->target, "ssl_vserver")->items[j];

	/* What was noted may be of another one: the option has changed since. */
	if (!certauto__text_equal(certauto__fact_nth(job, "vserver", j), name)) {
		certauto__fact_nth_set(job, "bound", j, NULL);
		certauto__fact_nth_set(job, "sni", j, NULL);
	}
	certauto__fact_nth_set(job, "vserver", j, name);
	return get_bindings(job, x, j);
}

struct bound {
	const char *certkey;
	certauto__buffer ours, others;
};

static int is_yes(const char *value)
{
	return value != NULL && (strcmp(value, "true") == 0 || strcmp(value, "ENABLED") == 0 ||
					strcmp(value, "1") == 0);
}

enum { ROW_NAME, ROW_SNI, ROW_CA };

static int bound_row(void *arg, const char *const *row)
{
	struct bound *bound = arg;

	if (row[ROW_NAME] == NULL || is_yes(row[ROW_CA]))
		return 0;
	if (strcmp(row[ROW_NAME], bound->certkey) == 0)
		return certauto__buffer_text_add(&bound->ours, is_yes(row[ROW_SNI]) ? "s" : "d");
	if (is_yes(row[ROW_SNI]))
		return 0;
	return certauto__buffer_printf(&bound->others, "\n%s", row[ROW_NAME]);
}

/* Reads how things are bound into ".bound.J". */
static int read_bound(certauto_job *job, const certauto__exchange *x, int j, certauto_error *err)
{
	static const char *const fields[] = {"certkeyname", "snicert", "ca", NULL};
	struct bound bound = {certauto__fact_own(job, "certkey"), CERTAUTO__BUFFER(64 * 1024),
		CERTAUTO__BUFFER(64 * 1024)};
	int rc = certauto__netscaler_rows(x, "sslvserver_sslcertkey_binding", fields, bound_row,
		&bound, err);

	certauto__buffer_text_add(&bound.ours, certauto__buffer_text(&bound.others));
	if (rc == 0 && (rc = bound.ours.rc) < 0)
		certauto__error_nomem(err);
	if (rc == 0)
		certauto__fact_nth_set(job, ".bound", j, certauto__buffer_text(&bound.ours));
	certauto__buffer_free(&bound.ours);
	certauto__buffer_free(&bound.others);
	return rc;
}

/* What was there is noted once, as in the chain. */
static void note(certauto_job *job, const char *name, int j, const char *value)
{
	if (certauto__fact_own(job, "switch") == NULL ||
		certauto__fact_nth(job, name, j) == NULL)
		certauto__fact_nth_set(job, name, j, value);
}

certauto__verdict certauto__netscaler_bound_read(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job);

	if (certauto__netscaler_is_no(x))
		return refused_at(job, x, j,
			"reading the certificates of the SSL vserver");
	if (read_bound(job, x, j, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	note(job, "bound", j, certauto__fact_nth(job, ".bound", j));
	return CERTAUTO__NEXT;
}

/* ---- what is wanted ---- */

enum { BIND_DEFAULT, BIND_ENABLE, BIND_SNI, BIND_KINDS };

/* 1 if certkeys are to be bound in that way, 'd' or 's'. */
static int is_wanted(const certauto_job *job, char how)
{
	const char *sni = certauto__option_text(deployment_of(job)->target, "sni");

	return strcmp(sni, "both") == 0 || (strcmp(sni, "sni") == 0) == (how == 's');
}

static int has(const char *bound, char how)
{
	const char *at = bound != NULL ? strchr(bound, how) : NULL;

	return at != NULL && at < bound + strcspn(bound, "\n");
}

static int is_due(const certauto_job *job, int j, char how)
{
	return is_wanted(job, how) && !has(certauto__fact_nth(job, ".bound", j), how);
}

int certauto__netscaler_bind_due(const certauto_job *job)
{
	int j;

	for (j = 0; certauto__fact_nth(job, "vserver", j) != NULL; j++) {
		if (is_due(job, j, 'd') || is_due(job, j, 's'))
			return 1;
	}
	return 0;
}

/* ---- SNI switched on? ---- */

static certauto__verdict get_vserver(certauto_job *job, certauto__exchange *x, int j)
{
	return certauto__netscaler_get(x, deployment_of(job)->target, "sslvserver",
		certauto__fact_nth(job, "vserver", j), NULL);
}

static int sni_row(void *arg, const char *const *row)
{
	*(int *)arg = is_yes(row[0]);
	return 0;
}

static int read_sni(const certauto__exchange *x, certauto_error *err)
{
	static const char *const fields[] = {"snienable", NULL};
	int is_enabled = 0;
	int rc = certauto__netscaler_rows(x, "sslvserver", fields, sni_row, &is_enabled, err);

	return rc < 0 ? rc : is_enabled;
}

certauto__verdict certauto__netscaler_sni_ask(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job);

	return is_due(job, j, 's') ? get_vserver(job, x, j) : CERTAUTO__NEXT;
}

certauto__verdict certauto__netscaler_sni_read(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job), sni;

	if (certauto__netscaler_is_no(x))
		return refused_at(job, x, j,
			"reading the SSL vserver");
	if ((sni = read_sni(x, certauto__job_error_of(job))) < 0)
		return CERTAUTO__FAILED;
	certauto__fact_nth_set(job, ".sni", j, sni ? ENABLED : "DISABLED");
	note(job, "sni", j, certauto__fact_nth(job, ".sni", j));
	return CERTAUTO__NEXT;
}

/* ---- bind ---- */

int certauto__netscaler_bind_each(certauto_job *job)
{
	return certauto__netscaler_vserver_each(job) * BIND_KINDS;
}

static certauto__verdict put_sni(certauto_job *job, certauto__exchange *x, int j, int on)
{
	certauto__json w;

	certauto__netscaler_put(&w, x, deployment_of(job)->target, "sslvserver");
	certauto__json_put_text(&w, "vservername", certauto__fact_nth(job, "vserver", j));
	certauto__json_put_text(&w, "snienable", on ? ENABLED : "DISABLED");
	return certauto__netscaler_end(&w);
}

static certauto__verdict put_binding(certauto_job *job, certauto__exchange *x, int j,
	const char *certkey, int sni)
{
	certauto__json w;

	certauto__netscaler_put(&w, x, deployment_of(job)->target, "sslvserver_sslcertkey_binding");
	certauto__json_put_text(&w, "vservername", certauto__fact_nth(job, "vserver", j));
	certauto__json_put_text(&w, "certkeyname", certkey);
	if (sni)
		certauto__json_put_bool(&w, "snicert", 1);
	return certauto__netscaler_end(&w);
}

certauto__verdict certauto__netscaler_bind_ask(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job) / BIND_KINDS, kind = certauto__index(job) % BIND_KINDS;

	if (!is_due(job, j, kind == BIND_DEFAULT ? 'd' : 's') ||
		(kind == BIND_ENABLE &&
			certauto__text_equal(certauto__fact_nth(job, ".sni", j), ENABLED)))
		return CERTAUTO__NEXT;
	certauto__netscaler_touch(job, 1);
	if (kind == BIND_ENABLE)
		return put_sni(job, x, j, 1);
	return put_binding(job, x, j, certauto__fact_own(job, "certkey"), kind == BIND_SNI);
}

certauto__verdict certauto__netscaler_bind_read(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job) / BIND_KINDS;

	if (certauto__netscaler_is_no(x) && certauto__netscaler_code(x) != CERTAUTO__NS_EXISTS)
		return refused_at(job, x, j,
			certauto__index(job) % BIND_KINDS == BIND_ENABLE
				? "switching SNI on at the SSL vserver"
				: "binding the certificate to the SSL vserver");
	return CERTAUTO__NEXT;
}

/* ---- the way back ---- */

/* 1 if a line behind the first is that name. */
static int names(const char *bound, const char *name, size_t len)
{
	const char *line = strchr(bound, '\n');

	for (; line != NULL; line = strchr(line + 1, '\n')) {
		if (strncmp(line + 1, name, len) == 0 && strcspn(line + 1, "\n") == len)
			return 1;
	}
	return 0;
}

/* The next thing to do, into ".next": "+NAME" is bound again, which makes ours of the same type go
 * away; "-d" and "-s" unbind what is left of it. 0: it is as it was. */
static int bind_next(certauto_job *job, int j)
{
	const char *was = certauto__fact_nth(job, "bound", j),
		   *now = certauto__fact_nth(job, ".bound", j), *line;
	size_t len;

	if (was == NULL || now == NULL)
		return -1; /* short of memory */
	for (line = strchr(was, '\n'); line != NULL; line = strchr(line + 1, '\n')) {
		len = strcspn(line + 1, "\n");
		if (names(now, line + 1, len))
			continue;
		certauto__fact_printf(job, ".next", "+%.*s", (int)len, line + 1);
		return 1;
	}
	if (has(now, 'd') && !has(was, 'd'))
		certauto__fact_set(job, ".next", "-d");
	else if (has(now, 's') && !has(was, 's'))
		certauto__fact_set(job, ".next", "-s");
	else
		return 0;
	return 1;
}

static certauto__verdict unbind(certauto_job *job, certauto__exchange *x, int j, int sni)
{
	certauto__buffer query = CERTAUTO__BUFFER(1024);
	certauto__verdict verdict;

	certauto__buffer_text_add(&query, "args=");
	certauto__netscaler_arg(&query, "certkeyname", certauto__fact_own(job, "certkey"));
	if (sni)
		certauto__netscaler_arg(&query, "snicert", "true");
	verdict = certauto__netscaler_delete(x, deployment_of(job)->target,
		"sslvserver_sslcertkey_binding", certauto__fact_nth(job, "vserver", j),
		certauto__buffer_text(&query));
	if (query.rc < 0)
		x->body.rc = query.rc; /* stops the sending */
	certauto__buffer_free(&query);
	return verdict;
}

certauto__verdict certauto__netscaler_bind_undo(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job) / BIND_KINDS;
	int is_look = certauto__step_attempts(job) % 2 == 1;
	const char *next = certauto__fact_own(job, ".next");

	if (certauto__index(job) % BIND_KINDS == BIND_ENABLE) {
		if (certauto__text_equal(certauto__fact_nth(job, "sni", j), ENABLED))
			return CERTAUTO__NEXT;
		return is_look ? get_vserver(job, x, j) : put_sni(job, x, j, 0);
	}
	if (is_look)
		return get_bindings(job, x, j);
	if (next[0] == '+')
		return put_binding(job, x, j, next + 1, 0);
	return unbind(job, x, j, next[1] == 's');
}

certauto__verdict certauto__netscaler_bind_undo_read(certauto_job *job, certauto__exchange *x)
{
	int j = certauto__index(job) / BIND_KINDS, more;

	if (certauto__step_attempts(job) % 2 == 0) {
		if (certauto__netscaler_code(x) != CERTAUTO__NS_EXISTS &&
			certauto__netscaler_gone(job, x) != CERTAUTO__NEXT)
			return CERTAUTO__FAILED;
		return certauto__again(job, 0);
	}
	if (x->rc < 0 || certauto__netscaler_is_no(x))
		return CERTAUTO__FAILED;
	if (certauto__index(job) % BIND_KINDS == BIND_ENABLE)
		more = read_sni(x, &x->error);
	else
		more = read_bound(job, x, j, &x->error) < 0 ? -1 : bind_next(job, j);
	if (more < 0 || certauto__step_attempts(job) > LOOKS)
		return CERTAUTO__FAILED;
	return more ? certauto__again(job, 0) : CERTAUTO__NEXT;
}
