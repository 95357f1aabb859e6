/* SPDX-License-Identifier: Apache-2.0 */
/* The public noun: what enters and leaves the library here. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/context.h"
#include "core/memory.h"
#include "fleet/report.h"
#include "fleet/run.h"

#define CONFIG_MAX (64 * 1024 * 1024)

static int is_null(certauto_error *err, const char *call)
{
	return certauto__error_set(err, CERTAUTO_EINVAL, NULL, "%s: an argument is NULL", call);
}

/* ---- making ---- */

int certauto_fleet_parse(certauto_fleet **out, certauto_context *cx, const unsigned char *data,
	size_t data_len)
{
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || (data == NULL && data_len > 0))
		rc = is_null(&cx->error, "fleet_parse");
	else
		rc = certauto__fleet_make(out, cx, "config", data, data_len, &cx->error);
	return certauto__leave(cx, rc);
}

static int read_config(int fd, certauto__buffer *out, const char *path, certauto_error *err)
{
	char chunk[16384];
	struct stat st;
	ssize_t n;
	int rc = 0;

	if (fstat(fd, &st) < 0)
		return certauto__error_errno(err, errno, path, path);
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		return certauto__error_set(err, CERTAUTO_ECONFIG, path, "%s is not a file", path);
	while (rc == 0) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = certauto__error_errno(err, errno, path, path);
		if (n <= 0)
			break;
		if (certauto__buffer_add(out, chunk, (size_t)n) == CERTAUTO_EPROTO)
			rc = certauto__error_set(err, CERTAUTO_ECONFIG, path,
				"%s is longer than %d MiB", path, CONFIG_MAX >> 20);
		else if (out->rc < 0)
			rc = certauto__error_nomem(err);
	}
	certauto__wipe(chunk, sizeof(chunk));
	return rc;
}

static int load(certauto_fleet **out, certauto_context *cx, const char *path, certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(CONFIG_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), rc;

	text.secret = 1; /* passwords may stand in it */
	if (fd < 0)
		return certauto__error_errno(err, errno, path, path);
	if ((rc = read_config(fd, &text, path, err)) == 0)
		rc = certauto__fleet_make(out, cx, path, certauto__buffer_text(&text), text.len,
			err);
	(void)close(fd);
	certauto__buffer_free(&text);
	return rc;
}

int certauto_fleet_load(certauto_fleet **out, certauto_context *cx, const char *path)
{
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || path == NULL)
		rc = is_null(&cx->error, "fleet_load");
	else
		rc = load(out, cx, path, &cx->error);
	return certauto__leave(cx, rc);
}

/* ---- parts ---- */

/* What the store has of it is read now, so that its URL can be told without asking the CA. */
static int dup_account(certauto_account **out, certauto_account *account, certauto_error *err)
{
	certauto__peer *peer = NULL;
	int rc;

	if ((rc = certauto__account_peer(account, &peer, err)) < 0)
		return rc;
	certauto__peer_unref(peer);
	*out = certauto__object_ref(account);
	return 0;
}

int certauto_fleet_dup_account(certauto_account **out, certauto_fleet *fleet, const char *name)
{
	certauto_context *cx = certauto_fleet_context(fleet);
	certauto_account *account;
	certauto__buffer list = CERTAUTO__BUFFER(512);
	size_t i;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || name == NULL) {
		rc = is_null(&cx->error, "fleet_dup_account");
	} else if ((account = certauto__fleet_find_account(fleet, name)) != NULL) {
		rc = dup_account(out, account, &cx->error);
	} else {
		for (i = 0; i < fleet->n_accounts; i++)
			certauto__buffer_printf(&list, "%s%s", i > 0 ? ", " : "",
				fleet->accounts[i]->name);
		rc = certauto__error_set(&cx->error, CERTAUTO_ENOTFOUND, name,
			"there is no account \"%.80s\"; there are: %s", name,
			list.len > 0 ? certauto__buffer_text(&list) : "none");
	}
	certauto__buffer_free(&list);
	return certauto__leave(cx, rc);
}

int certauto_fleet_dup_target(certauto_target **out, certauto_fleet *fleet, const char *name)
{
	certauto_context *cx = certauto_fleet_context(fleet);
	certauto_target *target;
	certauto__buffer list = CERTAUTO__BUFFER(512);
	size_t i;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || name == NULL) {
		rc = is_null(&cx->error, "fleet_dup_target");
	} else if ((target = certauto__fleet_find_target(fleet, name)) != NULL) {
		*out = certauto__object_ref(target);
	} else {
		for (i = 0; i < fleet->n_targets; i++)
			certauto__buffer_printf(&list, "%s%s", i > 0 ? ", " : "",
				fleet->targets[i]->label);
		rc = certauto__error_set(&cx->error, CERTAUTO_ENOTFOUND, name,
			"there is no target \"%.80s\"; there are: %s", name,
			list.len > 0 ? certauto__buffer_text(&list) : "none");
	}
	certauto__buffer_free(&list);
	return certauto__leave(cx, rc);
}

int certauto_fleet_dup_store(certauto_store **out, certauto_fleet *fleet)
{
	certauto_context *cx = certauto_fleet_context(fleet);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL)
		rc = is_null(&cx->error, "fleet_dup_store");
	else
		*out = certauto__object_ref(fleet->store);
	return certauto__leave(cx, rc);
}

size_t certauto_fleet_n_certificates(const certauto_fleet *fleet)
{
	return fleet != NULL ? fleet->n_certificates : 0;
}

const char *certauto_fleet_certificate(const certauto_fleet *fleet, size_t i)
{
	return i < certauto_fleet_n_certificates(fleet) ? fleet->certificates[i].name : NULL;
}

size_t certauto_fleet_n_accounts(const certauto_fleet *fleet)
{
	return fleet != NULL ? fleet->n_accounts : 0;
}

const char *certauto_fleet_account(const certauto_fleet *fleet, size_t i)
{
	return i < certauto_fleet_n_accounts(fleet) ? fleet->accounts[i]->name : NULL;
}

size_t certauto_fleet_n_targets(const certauto_fleet *fleet)
{
	return fleet != NULL ? fleet->n_targets : 0;
}

const char *certauto_fleet_target(const certauto_fleet *fleet, size_t i)
{
	return i < certauto_fleet_n_targets(fleet) ? fleet->targets[i]->label : NULL;
}

/* ---- working ---- */

int certauto_fleet_set_renew_before(certauto_fleet *fleet, int64_t at)
{
	certauto_context *cx = certauto_fleet_context(fleet);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (at < 0)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"a time is in seconds since 1970, or 0");
	else
		fleet->renew_before = at;
	return certauto__leave(cx, rc);
}

static int start_work(certauto_job **out, certauto_fleet *fleet,
	const struct certauto__order_of_work *work)
{
	certauto_context *cx = certauto_fleet_context(fleet);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || (work->mode == CERTAUTO__MODE_REVOKE && work->names == NULL))
		rc = is_null(&cx->error, "fleet_start");
	else
		rc = certauto__fleet_start(out, fleet, work, &cx->error);
	return certauto__leave(cx, rc);
}

/* Waits for the job to its end: its deadline is the caller's time, and undoing has some beyond
 * it. */
static int finish(certauto_job *job, int rc)
{
	if (rc == 0)
		rc = certauto_job_wait(job, -1);
	certauto_job_free(job);
	return rc;
}

int certauto_fleet_start_renew(certauto_job **out, certauto_fleet *fleet, const char *const *names,
	size_t n_names, int flags, int deadline_ms)
{
	struct certauto__order_of_work work = {
		.mode = CERTAUTO__MODE_RENEW,
		.names = names,
		.n_names = n_names,
		.forced = (flags & CERTAUTO_FLEET_FORCE) != 0,
		.deadline_ms = deadline_ms,
	};

	return start_work(out, fleet, &work);
}

int certauto_fleet_renew(certauto_fleet *fleet, const char *const *names, size_t n_names, int flags,
	int timeout_ms)
{
	certauto_job *job = NULL;
	int rc = certauto_fleet_start_renew(&job, fleet, names, n_names, flags, timeout_ms);

	return finish(job, rc);
}

int certauto_fleet_start_deploy(certauto_job **out, certauto_fleet *fleet, const char *const *names,
	size_t n_names, int deadline_ms)
{
	struct certauto__order_of_work work = {
		.mode = CERTAUTO__MODE_DEPLOY,
		.names = names,
		.n_names = n_names,
		.deadline_ms = deadline_ms,
	};

	return start_work(out, fleet, &work);
}

int certauto_fleet_deploy(certauto_fleet *fleet, const char *const *names, size_t n_names,
	int timeout_ms)
{
	certauto_job *job = NULL;
	int rc = certauto_fleet_start_deploy(&job, fleet, names, n_names, timeout_ms);

	return finish(job, rc);
}

int certauto_fleet_start_revoke(certauto_job **out, certauto_fleet *fleet, const char *const *names,
	size_t n_names, int reason, int flags, int deadline_ms)
{
	struct certauto__order_of_work work = {
		.mode = CERTAUTO__MODE_REVOKE,
		.names = names,
		.n_names = n_names,
		.deadline_ms = deadline_ms,
		.reason = reason,
		.by_key = (flags & CERTAUTO_FLEET_BY_KEY) != 0,
	};

	return start_work(out, fleet, &work);
}

int certauto_fleet_revoke(certauto_fleet *fleet, const char *const *names, size_t n_names,
	int reason, int flags, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc = certauto_fleet_start_revoke(
		&job, fleet, names, n_names, reason, flags, timeout_ms);

	return finish(job, rc);
}

int certauto_fleet_start_gc(certauto_job **out, certauto_fleet *fleet, int deadline_ms)
{
	struct certauto__order_of_work work = {
		.mode = CERTAUTO__MODE_SETTLE,
		.deadline_ms = deadline_ms,
	};

	return start_work(out, fleet, &work);
}

int certauto_fleet_gc(certauto_fleet *fleet, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc = certauto_fleet_start_gc(&job, fleet, timeout_ms);

	return finish(job, rc);
}

int certauto_fleet_start_test(certauto_job **out, certauto_fleet *fleet, int deadline_ms)
{
	certauto_context *cx = certauto_fleet_context(fleet);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL)
		rc = is_null(&cx->error, "fleet_start");
	else
		rc = certauto__fleet_start_test(out, fleet, deadline_ms, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_fleet_test(certauto_fleet *fleet, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc = certauto_fleet_start_test(&job, fleet, timeout_ms);

	return finish(job, rc);
}

/* ---- telling ---- */

int certauto_fleet_dup_results(char **out, certauto_fleet *fleet)
{
	certauto_context *cx = certauto_fleet_context(fleet);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL)
		rc = is_null(&cx->error, "fleet_dup_results");
	else
		rc = certauto__fleet_results(out, fleet, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_fleet_dup_status(char **out, certauto_fleet *fleet, const char *const *names,
	size_t n_names)
{
	certauto_context *cx = certauto_fleet_context(fleet);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL)
		rc = is_null(&cx->error, "fleet_dup_status");
	else
		rc = certauto__fleet_status(out, fleet, names, n_names, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_fleet_dup_plan(char **out, certauto_fleet *fleet, const char *const *names,
	size_t n_names, int flags)
{
	certauto_context *cx = certauto_fleet_context(fleet);
	int rc, forced = (flags & CERTAUTO_FLEET_FORCE) != 0;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL)
		rc = is_null(&cx->error, "fleet_dup_plan");
	else
		rc = certauto__fleet_plan(out, fleet, names, n_names, forced, &cx->error);
	return certauto__leave(cx, rc);
}

certauto_context *certauto_fleet_context(const certauto_fleet *fleet)
{
	return fleet != NULL ? fleet->object.cx : NULL;
}

void certauto_fleet_free(certauto_fleet *fleet)
{
	(void)certauto__object_unref(fleet);
}
