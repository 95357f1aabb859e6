/* SPDX-License-Identifier: Apache-2.0 */
/* Deployment through a hook program: the files are written into a folder for the certificate, by
 * the steps of files_deploy.c, and the program is told where. When it fails, or the new certificate
 * is not served then, the old files are put back and it is told again. */

#include "targets/hook.h"

#include <unistd.h>

#include <certauto/error.h>

#define FOLDER_MODE 0700
#define FILE_MODE 0600

const char *const certauto__hook_files[CERTAUTO__PEMFILES_ROLES] = {
	[CERTAUTO__PEMFILES_KEY] = "privkey.pem",
	[CERTAUTO__PEMFILES_CERT] = "cert.pem",
	[CERTAUTO__PEMFILES_CHAIN] = "chain.pem",
	[CERTAUTO__PEMFILES_FULLCHAIN] = "fullchain.pem",
};

/* ---- where ---- */

/* With several keys each is a certificate of its own to these programs. */
static int put_name(certauto__buffer *out, const struct certauto__deployment *deployment)
{
	certauto__buffer_text_add(out, deployment->name);
	if (deployment->n_keys > 1)
		certauto__buffer_printf(out, ".%s", deployment->key_type);
	return out->rc;
}

int certauto__hook_folder(certauto__buffer *out, const struct certauto__deployment *deployment)
{
	certauto__buffer_printf(out, "%s/", certauto__option_text(deployment->target, "folder"));
	return put_name(out, deployment);
}

static int hook_open(struct certauto__folder *out, const struct certauto__deployment *deployment,
	int make, certauto_error *err)
{
	struct certauto__folder folder = CERTAUTO__FOLDER;
	certauto__buffer name = CERTAUTO__BUFFER(1024);
	int rc;

	if (put_name(&name, deployment) < 0)
		rc = certauto__error_nomem(err);
	else if ((rc = certauto__pemfiles_open(&folder, deployment->target, "folder", err)) == 0 &&
		(rc = certauto__folder_open_in(out, &folder, name.data, make, FOLDER_MODE, err)) ==
			0 &&
		(rc = certauto__folder_check_private(out, err)) < 0)
		certauto__folder_close(out);
	if (rc == CERTAUTO_ENOTFOUND && folder.fd >= 0 && !make) {
		certauto__error_clear(err);
		rc = 0;
	}
	certauto__folder_close(&folder);
	certauto__buffer_free(&name);
	return rc;
}

static void hook_left(const struct certauto__deployment *deployment)
{
	certauto__buffer path = CERTAUTO__BUFFER(8192);

	/* With anything in it, it stays. */
	if (certauto__hook_folder(&path, deployment) == 0)
		(void)rmdir(certauto__buffer_text(&path));
	certauto__buffer_free(&path);
}

static int hook_name(certauto__buffer *out, const struct certauto__deployment *deployment,
	enum certauto__pemfiles_role role, certauto_error *err)
{
	if (certauto__hook_files[role] == NULL)
		return 0;
	if (role == CERTAUTO__PEMFILES_KEY && deployment->key == NULL)
		return certauto__error_set(err, CERTAUTO_EUNSUPPORTED, deployment->name,
			"%s: a hook is told where the private key is, and that of \"%s\" is kept "
			"elsewhere",
			deployment->target->label, deployment->name);
	return certauto__buffer_text_add(out, certauto__hook_files[role]) < 0
		? certauto__error_nomem(err)
		: 0;
}

static int hook_access(struct certauto__access *out, const certauto_target *target,
	enum certauto__pemfiles_role role, certauto_error *err)
{
	(void)target;
	(void)role;
	(void)err;
	out->mode = FILE_MODE;
	out->owner = CERTAUTO__NOBODY;
	out->group = CERTAUTO__NO_GROUP;
	return 0;
}

static int deploy_ready(const struct certauto__deployment *deployment, certauto_error *err)
{
	return certauto__hook_ready(deployment->target, err);
}

/* ---- the program ---- */

/* On the way back from a first deployment there is nothing to tell of. */
static certauto__verdict tell_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__undoing(job) && certauto__fact_own(job, "had.fullchain") == NULL)
		return CERTAUTO__NEXT;
	return certauto__hook_start(job, CERTAUTO__HOOK_DEPLOY, certauto__job_env(job));
}

/* Of a failed one it is not known how far it came: it is still due, with what is there then. */
static certauto__verdict tell_read(certauto_job *job, certauto__exchange *x)
{
	certauto_error error = {0};
	int ran;

	(void)x;
	if (certauto__hook_ended(job, &ran, &error) == 0) {
		certauto__fact_set(job, "reload", "done");
		return CERTAUTO__NEXT;
	}
	if (!ran)
		certauto__fact_set(job, "reload", "failed");
	return certauto__fail_with(job, &error);
}

const struct certauto__pemfiles_kind certauto__hook_deploy = {
	.table = {
		.name = "hook-deploy",
		.steps = certauto__pemfiles_steps,
		.n_steps = CERTAUTO__PEMFILES_STEPS,
		.undo_ms = CERTAUTO__HOOK_UNDO_MS,
	},
	.option = "folder",
	.ready = deploy_ready,
	.open = hook_open,
	.name = hook_name,
	.access = hook_access,
	.reload = tell_ask,
	.reloaded = tell_read,
	.left = hook_left,
};
