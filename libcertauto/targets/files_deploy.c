/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate into a folder of files: the new files are written beside the old ones and
 * renamed over them, after a second name was made for each old one by which it is brought back.
 * The server is told by the program `reload`, and proves by handshake that it has listened.
 *
 * Facts: "file.ROLE" the names; "changed" the roles that are replaced; "had.ROLE" that there was
 * such a file; "swap" that renaming has begun; "reload" = due, from then until the program ended
 * well. A file's temporary and second name follow from its own: a killed run leaves nothing that
 * the next does not find. */

#include "targets/files.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"

#define NEW_PREFIX ".certauto-new-"
#define OLD_PREFIX ".certauto-old-"
#define CONTENT_MAX (1024 * 1024)

static const struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const struct certauto__pemfiles_kind *kind_of(const certauto_job *job)
{
	return (const struct certauto__pemfiles_kind *)(const void *)certauto__job_table(job);
}

/* Facts that each role has one of. */

static const char *role_fact(const certauto_job *job, const char *what,
	enum certauto__pemfiles_role role)
{
	char name[32];

	snprintf(name, sizeof(name), "%s.%s", what, certauto__pemfiles_role_name(role));
	return certauto__fact_own(job, name);
}

static void role_fact_set(certauto_job *job, const char *what, enum certauto__pemfiles_role role,
	const char *value)
{
	char name[32];

	snprintf(name, sizeof(name), "%s.%s", what, certauto__pemfiles_role_name(role));
	certauto__fact_set(job, name, value);
}

static const char *file_name(const certauto_job *job, enum certauto__pemfiles_role role)
{
	return role_fact(job, "file", role);
}

static const char *with_prefix(char *out, size_t size, const char *prefix, const char *name)
{
	snprintf(out, size, "%s%s", prefix, name);
	return out;
}

/* ---- observe ---- */

static int is_stale(const struct certauto__folder *folder, const char *name,
	const certauto__buffer *content, const struct certauto__access *access)
{
	certauto__buffer raw = CERTAUTO__BUFFER(CONTENT_MAX);
	struct stat st;
	int same;

	raw.secret = 1;
	same = certauto__folder_read(folder, name, &raw, &st, NULL) == 0 &&
		raw.len == content->len &&
		(raw.len == 0 || memcmp(raw.data, content->data, raw.len) == 0) &&
		(st.st_mode & 07777) == access->mode &&
		(access->group == CERTAUTO__NO_GROUP || st.st_gid == access->group);
	certauto__buffer_free(&raw);
	return !same;
}

/* Notes the name of one role's file and whether it must be written. */
static int observe_role(certauto_job *job, const struct certauto__folder *folder,
	enum certauto__pemfiles_role role, certauto_error *err)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	certauto__buffer name = CERTAUTO__BUFFER(512), content = CERTAUTO__BUFFER(CONTENT_MAX);
	struct certauto__access access;
	int rc;

	role_fact_set(job, ".stale", role, NULL);
	if ((rc = kind_of(job)->name(&name, deployment, role, err)) < 0)
		goto out;
	/* The key of a CSR made elsewhere lies where it was made. */
	if (name.len == 0 || (role == CERTAUTO__PEMFILES_KEY && deployment->key == NULL)) {
		role_fact_set(job, "file", role, NULL);
		goto out;
	}
	role_fact_set(job, "file", role, name.data);
	if ((rc = certauto__pemfiles_content(&content, deployment, role, err)) < 0 ||
		(rc = kind_of(job)->access(&access, deployment->target, role, err)) < 0)
		goto out;
	if (is_stale(folder, name.data, &content, &access)) {
		role_fact_set(job, ".stale", role, "yes");
		certauto__fact_set(job, ".stale", "yes");
	}
out:
	certauto__buffer_free(&name);
	certauto__buffer_free(&content);
	return rc;
}

/* Which files are replaced is noted once, and not forgotten before they are tidied up: after a kill
 * among the renames, or a tidying that failed, it is more than what differs. */
static void observe_changed(certauto_job *job)
{
	enum certauto__pemfiles_role role;

	if (certauto__fact_is(job, "swap", "begun"))
		return;
	/* Of a run that failed and was taken back; a reload that is due still is. */
	if (!certauto__fact_is(job, "reload", "due"))
		certauto__fact_set(job, "reload", NULL);
	if (certauto__fact_own(job, ".stale") != NULL)
		certauto__fact_set(job, "changed", "yes");
	for (role = CERTAUTO__PEMFILES_KEY; role < CERTAUTO__PEMFILES_ROLES; role++)
		if (role_fact(job, ".stale", role) != NULL)
			role_fact_set(job, "changed", role, "yes");
}

static certauto__verdict observe_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__folder folder = CERTAUTO__FOLDER;
	enum certauto__pemfiles_role role;
	certauto_error error = {0};
	int rc;

	(void)x;
	certauto__fact_set(job, ".stale", NULL);
	rc = kind_of(job)->ready != NULL ? kind_of(job)->ready(deployment_of(job), &error) : 0;
	if (rc == 0)
		rc = kind_of(job)->open(&folder, deployment_of(job), 0, &error);
	for (role = CERTAUTO__PEMFILES_KEY; rc == 0 && role < CERTAUTO__PEMFILES_ROLES; role++)
		rc = observe_role(job, &folder, role, &error);
	certauto__folder_close(&folder);
	if (rc < 0)
		return certauto__fail_with(job, &error);
	observe_changed(job);
	return CERTAUTO__NEXT;
}

/* ---- calls on the folder: one function for each step, over all roles ---- */

typedef int (*role_fn)(certauto_job *job, const struct certauto__folder *folder,
	enum certauto__pemfiles_role role, certauto_error *err);

static int in_folder(certauto_job *job, certauto__exchange *x, int make, const char *which,
	role_fn fn)
{
	struct certauto__folder folder = CERTAUTO__FOLDER;
	enum certauto__pemfiles_role role;
	int rc;

	rc = kind_of(job)->open(&folder, deployment_of(job), make, &x->error);
	if (rc < 0 || folder.fd < 0)
		return rc; /* no folder, no files */
	for (role = CERTAUTO__PEMFILES_KEY; rc == 0 && role < CERTAUTO__PEMFILES_ROLES; role++) {
		if (file_name(job, role) != NULL && role_fact(job, which, role) != NULL)
			rc = fn(job, &folder, role, &x->error);
	}
	if (rc == 0)
		rc = certauto__folder_sync(&folder, &x->error);
	certauto__folder_close(&folder);
	return rc;
}

static int for_each_role(certauto_job *job, certauto__exchange *x, const char *which, role_fn fn)
{
	return in_folder(job, x, 0, which, fn);
}

static certauto__verdict ask_folder(certauto_job *job, certauto__exchange *x, const char *what,
	certauto__call_fn call)
{
	certauto__verdict verdict = certauto__ask_call(x, call);

	x->method = what;
	certauto__buffer_init(&x->url, CERTAUTO__HTTP_URL_MAX);
	certauto__buffer_text_add(&x->url,
		certauto__option_text(deployment_of(job)->target, kind_of(job)->option));
	return verdict;
}

/* A call that fails has done a part of its work: unlike a refusal it is taken back. */
static certauto__verdict folder_read(certauto_job *job, certauto__exchange *x)
{
	return x->rc < 0 ? certauto__fail_with(job, &x->error) : CERTAUTO__NEXT;
}

/* ---- stage: the new files, under names nobody reads ---- */

static int stage_role(certauto_job *job, const struct certauto__folder *folder,
	enum certauto__pemfiles_role role, certauto_error *err)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	certauto__buffer content = CERTAUTO__BUFFER(CONTENT_MAX);
	struct certauto__access access;
	char name[NAME_MAX + 1];
	int rc;

	if ((rc = certauto__pemfiles_content(&content, deployment, role, err)) == 0 &&
		(rc = kind_of(job)->access(&access, deployment->target, role, err)) == 0)
		rc = certauto__folder_write(folder,
			with_prefix(name, sizeof(name), NEW_PREFIX, file_name(job, role)),
			content.data != NULL ? content.data : "", content.len, &access, err);
	certauto__buffer_free(&content);
	return rc;
}

static int stage_call(certauto_job *job, certauto__exchange *x)
{
	return in_folder(job, x, 1, ".stale", stage_role);
}

static certauto__verdict stage_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, ".stale") == NULL)
		return CERTAUTO__NEXT;
	return ask_folder(job, x, "write new files in", stage_call);
}

/* Old files stay under their second name while they have not been brought back. */
static int clean_role(certauto_job *job, const struct certauto__folder *folder,
	enum certauto__pemfiles_role role, certauto_error *err)
{
	char name[NAME_MAX + 1];
	int rc;

	rc = certauto__folder_remove(folder,
		with_prefix(name, sizeof(name), NEW_PREFIX, file_name(job, role)), err);
	if (rc < 0 || certauto__fact_is(job, "swap", "begun"))
		return rc;
	return certauto__folder_remove(folder,
		with_prefix(name, sizeof(name), OLD_PREFIX, file_name(job, role)), err);
}

static int clean_call(certauto_job *job, certauto__exchange *x)
{
	return for_each_role(job, x, "changed", clean_role);
}

static int unstage_call(certauto_job *job, certauto__exchange *x)
{
	int rc = clean_call(job, x);

	if (rc == 0 && kind_of(job)->left != NULL)
		kind_of(job)->left(deployment_of(job));
	return rc;
}

static certauto__verdict stage_undo(certauto_job *job, certauto__exchange *x)
{
	return ask_folder(job, x, "remove new files in", unstage_call);
}

/* ---- keep: a second name for each old file ---- */

static int keep_role(certauto_job *job, const struct certauto__folder *folder,
	enum certauto__pemfiles_role role, certauto_error *err)
{
	const char *name = file_name(job, role);
	char old[NAME_MAX + 1];
	int rc;

	with_prefix(old, sizeof(old), OLD_PREFIX, name);
	/* After a kill among the renames: what has its second name, or never had a first, is
	 * left alone. */
	if (certauto__fact_is(job, "swap", "begun") &&
		(role_fact(job, "had", role) == NULL || certauto__folder_has(folder, old)))
		return 0;
	if ((rc = certauto__folder_remove(folder, old, err)) < 0)
		return rc;
	role_fact_set(job, "had", role, certauto__folder_has(folder, name) ? "yes" : NULL);
	return role_fact(job, "had", role) != NULL ? certauto__folder_link(folder, name, old, err)
						   : 0;
}

static int keep_call(certauto_job *job, certauto__exchange *x)
{
	return for_each_role(job, x, "changed", keep_role);
}

static certauto__verdict keep_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, ".stale") == NULL)
		return CERTAUTO__NEXT;
	return ask_folder(job, x, "keep the old files in", keep_call);
}

/* Last step of the way back: the old files are there again, the server must read them. A program
 * that has failed with the new files is not asked twice: its server has not read them. */
static certauto__verdict keep_undo(certauto_job *job, certauto__exchange *x)
{
	if (!certauto__fact_is(job, "reload", "due") && !certauto__fact_is(job, "reload", "done"))
		return CERTAUTO__NEXT;
	return kind_of(job)->reload(job, x);
}

/* ---- swap ---- */

static int swap_role(certauto_job *job, const struct certauto__folder *folder,
	enum certauto__pemfiles_role role, certauto_error *err)
{
	char name[NAME_MAX + 1];

	return certauto__folder_rename(folder,
		with_prefix(name, sizeof(name), NEW_PREFIX, file_name(job, role)),
		file_name(job, role), err);
}

static int swap_call(certauto_job *job, certauto__exchange *x)
{
	return for_each_role(job, x, ".stale", swap_role);
}

static certauto__verdict swap_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, ".stale") == NULL)
		return CERTAUTO__NEXT;
	certauto__fact_set(job, "swap", "begun");
	certauto__fact_set(job, "reload", "due");
	return ask_folder(job, x, "replace files in", swap_call);
}

static int restore_role(certauto_job *job, const struct certauto__folder *folder,
	enum certauto__pemfiles_role role, certauto_error *err)
{
	const char *name = file_name(job, role);
	char old[NAME_MAX + 1];

	if (role_fact(job, "had", role) == NULL)
		return certauto__folder_remove(folder, name, err);
	with_prefix(old, sizeof(old), OLD_PREFIX, name);
	return certauto__folder_has(folder, old) ? certauto__folder_rename(folder, old, name, err)
						 : 0;
}

/* rename() of two names of one file does nothing, where the swap had not come to it:
 * clean_role() goes over the names once more. */
static int restore_call(certauto_job *job, certauto__exchange *x)
{
	int rc = for_each_role(job, x, "changed", restore_role);

	if (rc == 0)
		certauto__fact_set(job, "swap", NULL);
	return rc;
}

static certauto__verdict swap_undo(certauto_job *job, certauto__exchange *x)
{
	return ask_folder(job, x, "put the old files back in", restore_call);
}

/* ---- reload ---- */

static certauto__verdict reload_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__fact_is(job, "reload", "due") ? kind_of(job)->reload(job, x)
							: CERTAUTO__NEXT;
}

static certauto__verdict reload_read(certauto_job *job, certauto__exchange *x)
{
	return kind_of(job)->reloaded(job, x);
}

/* ---- tidy ---- */

static int tidy_call(certauto_job *job, certauto__exchange *x)
{
	certauto__fact_set(job, "swap", NULL);
	return for_each_role(job, x, "changed", clean_role);
}

static certauto__verdict tidy_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, "changed") == NULL)
		return CERTAUTO__NEXT;
	return ask_folder(job, x, "remove the old files' second names in", tidy_call);
}

const struct certauto__step certauto__pemfiles_steps[CERTAUTO__PEMFILES_STEPS] = {
	{.name = "observe", .ask = observe_ask, .flags = CERTAUTO__READS},
	{.name = "stage",
		.ask = stage_ask,
		.read = folder_read,
		.undo = stage_undo,
		.flags = CERTAUTO__ERRORS},
	{.name = "keep",
		.ask = keep_ask,
		.read = folder_read,
		.undo = keep_undo,
		.flags = CERTAUTO__ERRORS},
	{.name = "swap",
		.ask = swap_ask,
		.read = folder_read,
		.undo = swap_undo,
		.flags = CERTAUTO__ERRORS},
	{.name = "reload", .ask = reload_ask, .read = reload_read, .flags = CERTAUTO__ERRORS},
	CERTAUTO__STEP_PROVE,
	{.name = "tidy", .ask = tidy_ask, .flags = CERTAUTO__COMMIT | CERTAUTO__OWED},
};

/* ---- the target files: a program of the administrator ---- */

static certauto__verdict program_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = deployment_of(job)->target;
	const certauto__list *argv = certauto__option_list(target, "reload");
	certauto__verdict verdict;

	if (argv->n == 0)
		return CERTAUTO__NEXT;
	verdict = certauto__ask_proc(x);
	x->method = "run";
	x->timeout_ms = certauto__option_number(target, "timeout_ms");
	certauto__buffer_init(&x->url, CERTAUTO__HTTP_URL_MAX);
	certauto__buffer_text_add(&x->url, argv->items[0]);
	if (certauto__list_copy(&x->argv, argv) < 0)
		x->body.rc = CERTAUTO_ENOMEM; /* stops the sending */
	return verdict;
}

static certauto__verdict reload_failed(certauto_job *job, const certauto__exchange *x)
{
	const char *program = certauto__buffer_text(&x->url), *output;
	certauto__buffer shown = CERTAUTO__BUFFER(4096);
	certauto_error error = {0};
	size_t len;

	certauto__fact_set(job, "reload", "failed");
	output = certauto__exchange_answer(x, &len);
	while (len > 0 && (unsigned char)output[len - 1] <= ' ')
		len--;
	certauto__text_escape(&shown, output, len);
	certauto__error_set(&error, CERTAUTO_EREFUSED, program,
		"%s: %s ended with status %d: \"%s\"", deployment_of(job)->target->label, program,
		x->status, certauto__buffer_text(&shown));
	certauto__error_advise(&error, "run it by hand to see why; the old files are put back");
	certauto__buffer_free(&shown);
	return certauto__fail_with(job, &error);
}

static certauto__verdict program_read(certauto_job *job, certauto__exchange *x)
{
	if (x->rc < 0) {
		/* It never ran, or was ended by us in the middle of what it did. */
		if (x->rc != CERTAUTO_ETIMEDOUT)
			certauto__fact_set(job, "reload", "failed");
		return certauto__fail_with(job, &x->error);
	}
	if (x->status != 0)
		return reload_failed(job, x);
	certauto__fact_set(job, "reload", "done");
	return CERTAUTO__NEXT;
}

static int directory_open(struct certauto__folder *out,
	const struct certauto__deployment *deployment, int make, certauto_error *err)
{
	(void)make; /* it is the administrator's */
	return certauto__pemfiles_open(out, deployment->target, "directory", err);
}

const struct certauto__pemfiles_kind certauto__pemfiles_deploy = {
	.table = {
		.name = "files-deploy",
		.steps = certauto__pemfiles_steps,
		.n_steps = CERTAUTO__PEMFILES_STEPS,
	},
	.option = "directory",
	.open = directory_open,
	.name = certauto__pemfiles_name,
	.access = certauto__pemfiles_access,
	.reload = program_ask,
	.reloaded = program_read,
};
