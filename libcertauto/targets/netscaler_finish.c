/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a run on a NetScaler, once for all certificates: CA objects that nobody needs any more
 * go, the configuration is saved, the other node has taken it over, and only then, when no reboot
 * can ask for them, the old files go. What cannot be removed is told, and is no reason to fail. */

#include "targets/netscaler_deploy.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "targets/device.h"

#define SYNC_DELAY_MS 100 /* and more with each look */
#define SYNC_DELAY_MAX_MS 2000

static const struct certauto__finish *finish_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

/* ---- what the deployments have left to do ---- */

static int n_entries(certauto_job *job)
{
	const struct certauto__finish *finish = finish_of(job);
	size_t i, n = 0;

	for (i = 0; i < finish->n_deployments; i++)
		n += finish->deployments[i]->superseded.n;
	return (int)n;
}

/* The at-th entry of all, behind that kind; NULL: it is of another kind, or was there before. */
static const char *entry_at(const struct certauto__finish *finish, size_t at, const char *kind)
{
	const certauto__list *list;
	const char *text;
	size_t i, before;

	for (i = 0; at >= finish->deployments[i]->superseded.n; i++)
		at -= finish->deployments[i]->superseded.n;
	text = finish->deployments[i]->superseded.items[at];
	if (!certauto__text_starts(text, kind))
		return NULL;
	for (before = 0; before < i; before++) {
		list = &finish->deployments[before]->superseded;
		if (certauto__list_has(list, text))
			return NULL;
	}
	return text + strlen(kind);
}

static const char *entry(const certauto_job *job, const char *kind)
{
	return entry_at(finish_of(job), (size_t)certauto__index(job), kind);
}

static int is_recovering(const certauto_job *job)
{
	const struct certauto__finish *finish = finish_of(job);
	size_t i;

	for (i = 0; i < finish->n_deployments; i++) {
		if (finish->deployments[i]->recovering)
			return 1;
	}
	return 0;
}

static int must_save(const certauto_job *job)
{
	const struct certauto__finish *finish = finish_of(job);
	size_t i;

	for (i = 0; i < finish->n_deployments; i++) {
		if (certauto__list_has(&finish->deployments[i]->superseded, "save"))
			return 1;
	}
	return is_recovering(job);
}

static int may_save(const certauto_job *job)
{
	return certauto__option_flag(finish_of(job)->target, "save");
}

/* ---- what an earlier run has left: files of these certkeys, and of CAs, that none refers to
 * ---- */

static certauto__verdict observe_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__netscaler_node_note(job);
	if (!is_recovering(job) || !may_save(job))
		return CERTAUTO__NEXT;
	certauto__fact_set(job, ".requests", "\n");
	return certauto__netscaler_file_list(x, finish_of(job)->target);
}

static int is_kind(const char *file, const char *dot)
{
	return strlen(file) > 4 && strcmp(file + strlen(file) - 4, dot) == 0;
}

/* The file of a CA object of ours, whichever certificate it was made for. */
static int is_ca_file(const certauto_job *job, const char *file)
{
	char name[CERTAUTO__NS_NAME];

	if (!is_kind(file, ".crt"))
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)strlen(file) - 4, file);
	return certauto__netscaler_is_own_ca(name, finish_of(job)->target);
}

static struct certauto__deployment *owner_of(const certauto_job *job, const char *file)
{
	const struct certauto__finish *finish = finish_of(job);
	int is_ca = is_ca_file(job, file);
	char certkey[CERTAUTO__NS_NAME];
	size_t i;

	for (i = 0; i < finish->n_deployments; i++) {
		certauto__netscaler_certkey(certkey, finish->deployments[i]);
		if (finish->deployments[i]->recovering &&
			(is_ca || certauto__netscaler_is_own_file(file, certkey)))
			return finish->deployments[i];
	}
	return NULL;
}

/* A key that the device has made, and its request, wait for a certificate: they stay, whoever made
 * them. */
static int requests_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;

	if (row[0] != NULL && is_kind(row[0], ".csr") && owner_of(job, row[0]) != NULL)
		certauto__fact_printf(job, ".requests", "%s%.*s\n",
			certauto__fact_own(job, ".requests"), (int)strlen(row[0]) - 4, row[0]);
	return 0;
}

static int is_requested(const certauto_job *job, const char *file)
{
	char line[CERTAUTO__NS_NAME];

	snprintf(line, sizeof(line), "\n%.*s\n", (int)strlen(file) - 4, file);
	return strstr(certauto__fact_own(job, ".requests"), line) != NULL;
}

static int file_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;
	struct certauto__deployment *owner;
	char text[CERTAUTO__NS_NAME];

	if (row[0] == NULL || (owner = owner_of(job, row[0])) == NULL || is_requested(job, row[0]))
		return 0;
	snprintf(text, sizeof(text), "file:%s", row[0]);
	if (certauto__list_has(&owner->superseded, text))
		return 0;
	text[0] = 'F'; /* until it is known that no certkey refers to it */
	return certauto__list_add_text(&owner->superseded, text);
}

static certauto__verdict observe_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"filename", NULL};
	certauto_error *err = certauto__job_error_of(job);

	if (certauto__netscaler_rows(x, "systemfile", fields, requests_row, job, err) < 0 ||
		certauto__netscaler_rows(x, "systemfile", fields, file_row, job, err) < 0)
		return CERTAUTO__FAILED;
	return CERTAUTO__NEXT;
}

static certauto__verdict used_ask(certauto_job *job, certauto__exchange *x)
{
	if (!is_recovering(job) || !may_save(job))
		return CERTAUTO__NEXT;
	return certauto__netscaler_get(x, finish_of(job)->target, "sslcertkey", NULL,
		"attrs=certkey,cert,key");
}

/* What is referred to is struck off the list. */
static int used_row(void *arg, const char *const *row)
{
	const struct certauto__finish *finish = finish_of(arg);
	certauto__list *list;
	size_t i, k, n;

	for (i = 0; i < finish->n_deployments; i++) {
		list = &finish->deployments[i]->superseded;
		for (k = 0; k < list->n; k++) {
			for (n = 0; n < 2 && list->items[k][0] == 'F'; n++) {
				if (certauto__text_equal(list->items[k] + 5,
					    certauto__netscaler_base(row[n])))
					list->items[k][0] = '-';
			}
		}
	}
	return 0;
}

static certauto__verdict used_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"cert", "key", NULL};
	const struct certauto__finish *finish = finish_of(job);
	certauto__list *list;
	size_t i, k;

	if (certauto__netscaler_rows(x, "sslcertkey", fields, used_row, job,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	for (i = 0; i < finish->n_deployments; i++) {
		list = &finish->deployments[i]->superseded;
		for (k = 0; k < list->n; k++) {
			if (list->items[k][0] == 'F')
				list->items[k][0] = 'f';
		}
	}
	return CERTAUTO__NEXT;
}

/* ---- CA objects ---- */

static certauto__verdict ca_ask(certauto_job *job, certauto__exchange *x)
{
	const char *name = entry(job, "ca:");

	if (name == NULL)
		return CERTAUTO__NEXT;
	return certauto__netscaler_delete(x, finish_of(job)->target, "sslcertkey", name, NULL);
}

/* Unless the node is no longer the primary: then the finish begins anew with the one that is. */
static certauto__verdict told(certauto_job *job, const certauto__exchange *x, const char *object,
	const char *doing)
{
	certauto_error error = {0};

	if (certauto__netscaler_refused(job, x, object, doing) == CERTAUTO__GONE)
		return CERTAUTO__GONE;
	certauto__netscaler_tell(&error, x, finish_of(job)->target, object, doing);
	certauto__warn(job, object, "%s: %s", object, certauto_error_message(&error));
	certauto__error_clear(&error);
	return CERTAUTO__NEXT;
}

static int is_gone(const certauto__exchange *x)
{
	int code = certauto__netscaler_code(x);

	return !certauto__netscaler_is_no(x) || x->status == 404 ||
		code == CERTAUTO__NS_NO_CERTKEY || code == CERTAUTO__NS_NO_RESOURCE ||
		code == CERTAUTO__NS_NO_FILE;
}

/* One that somebody refers to after all is left to him. */
static certauto__verdict ca_read(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__finish *finish = finish_of(job);
	const char *name = entry(job, "ca:");
	char text[CERTAUTO__NS_NAME + 16];

	if (certauto__netscaler_code(x) == CERTAUTO__NS_REFERENCED)
		return CERTAUTO__NEXT;
	if (!is_gone(x))
		return told(job, x, name, "removing the CA certificate nobody uses");
	snprintf(text, sizeof(text), "file:%s.crt", name);
	if (certauto__list_add_text(
		    &finish->deployments[finish->n_deployments - 1]->superseded, text) == 0)
		return CERTAUTO__NEXT;
	certauto__error_nomem(certauto__job_error_of(job));
	return CERTAUTO__FAILED;
}

/* ---- save, and the other node ---- */

static certauto__verdict save_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__json w;

	if (!must_save(job))
		return CERTAUTO__NEXT;
	if (!may_save(job)) {
		certauto__warn(job, finish_of(job)->target->label,
			"save=no: the configuration is not saved, and old files stay; a reboot of "
			"the device brings the old certificates back");
		return CERTAUTO__NEXT;
	}
	certauto__fact_set(job, ".saved", "yes");
	certauto__netscaler_post(&w, x, finish_of(job)->target, "nsconfig", "save");
	return certauto__netscaler_end(&w);
}

static certauto__verdict save_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__netscaler_is_no(x))
		return certauto__netscaler_refused(job, x, finish_of(job)->target->label,
			"saving the configuration");
	return CERTAUTO__NEXT;
}

static certauto__verdict sync_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__planning(job) || certauto__fact_own(job, ".saved") == NULL ||
		!certauto__netscaler_is_pair(job))
		return CERTAUTO__NEXT;
	return certauto__netscaler_get(x, finish_of(job)->target, "hanode", NULL, NULL);
}

struct sync {
	int busy, n;
	char bad[256];
};

/* "ENABLED" is what the primary says of itself, "SUCCESS" what the other one has come to. */
static int sync_row(void *arg, const char *const *row)
{
	struct sync *sync = arg;
	const char *state = row[0] != NULL ? row[0] : "";
	char shown[CERTAUTO__NS_SHOWN];

	if (sync->n++ == 0)
		return 0; /* the node that is asked */
	if (row[1] != NULL && strcmp(row[1], "UP") != 0)
		snprintf(sync->bad, sizeof(sync->bad), "is %s",
			certauto__netscaler_shown(shown, row[1]));
	else if (strstr(state, "FAIL") != NULL || strstr(state, "DISABLED") != NULL)
		snprintf(sync->bad, sizeof(sync->bad), "has sync state %s",
			certauto__netscaler_shown(shown, state));
	else if (strstr(state, "PROGRESS") != NULL)
		sync->busy = 1;
	return 0;
}

/* A node that is down, or does not synchronise, gets the configuration when it is back: that is the
 * business of the pair, and is told. */
static certauto__verdict sync_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"hasync", "hastatus", NULL};
	const char *label = finish_of(job)->target->label;
	int64_t delay = SYNC_DELAY_MS * certauto__step_attempts(job),
		patience = certauto__option_number(finish_of(job)->target, "timeout_ms");
	certauto__verdict verdict = certauto__netscaler_role_read(job, x);
	struct sync sync = {0};

	if (verdict != CERTAUTO__NEXT)
		return verdict; /* saved on a node that was not the primary any more: in vain */
	if (certauto__netscaler_rows(x, "hanode", fields, sync_row, &sync,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (sync.busy && certauto__step_age_ms(job) < patience) {
		certauto__device_waiting(job, label, "waiting for the secondary node");
		return certauto__again(job, delay < SYNC_DELAY_MAX_MS ? delay : SYNC_DELAY_MAX_MS);
	}
	if (sync.busy)
		return certauto__fail(job, CERTAUTO_ETIMEDOUT, label,
			"%s: saved, but the secondary node has not synchronised", label);
	if (sync.bad[0] != '\0')
		certauto__warn(job, label, "%s: the other node of the pair %s: it has not got the "
			"new certificates", label, sync.bad);
	return CERTAUTO__NEXT;
}

/* ---- old files ---- */

static certauto__verdict tidy_ask(certauto_job *job, certauto__exchange *x)
{
	const char *name = entry(job, "file:");

	if (name == NULL || !may_save(job))
		return CERTAUTO__NEXT;
	return certauto__netscaler_file_delete(x, finish_of(job)->target, name);
}

static certauto__verdict tidy_read(certauto_job *job, certauto__exchange *x)
{
	return is_gone(x) ? CERTAUTO__NEXT
			  : told(job, x, entry(job, "file:"), "removing the old file");
}

static const struct certauto__step netscaler_finish_steps[] = {
	{.name = "observe", .ask = observe_ask, .read = observe_read, .flags = CERTAUTO__READS},
	{.name = "used", .ask = used_ask, .read = used_read, .flags = CERTAUTO__READS},
	{.name = "ca",
		.ask = ca_ask,
		.read = ca_read,
		.each = n_entries,
		.flags = CERTAUTO__ERRORS},
	{.name = "save", .ask = save_ask, .read = save_read, .flags = CERTAUTO__ERRORS},
	{.name = "sync", .ask = sync_ask, .read = sync_read, .flags = CERTAUTO__READS},
	{.name = "tidy",
		.ask = tidy_ask,
		.read = tidy_read,
		.each = n_entries,
		.flags = CERTAUTO__ERRORS},
};

const struct certauto__table certauto__netscaler_finish = {
	.name = "netscaler-finish",
	.steps = netscaler_finish_steps,
	.n_steps = sizeof(netscaler_finish_steps) / sizeof(netscaler_finish_steps[0]),
};
