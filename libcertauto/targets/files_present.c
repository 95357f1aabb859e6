/* SPDX-License-Identifier: Apache-2.0 */
/* http-01 through the web root of a server: a file with the answer below
 * .well-known/acme-challenge/. The web root is often writable for others than us: nothing in it
 * is opened through a link, and an existing file is replaced, never written into. */

#include "targets/files.h"

#include <string.h>

#include <certauto/error.h>

#define PUBLIC_FOLDER 0755
#define PUBLIC_FILE 0644

/* RFC 8555 8.3: the base64url alphabet, so that a token cannot be a path. */
static int is_token(const char *text)
{
	return text != NULL && text[0] != '\0' && certauto__base64url_valid(text, strlen(text));
}

static int open_challenges(struct certauto__folder *out, const char *webroot, int make,
	certauto_error *err)
{
	struct certauto__folder root = CERTAUTO__FOLDER, well_known = CERTAUTO__FOLDER;
	int rc;

	if ((rc = certauto__folder_open(&root, webroot, err)) < 0 ||
		(rc = certauto__folder_open_in(&well_known, &root, ".well-known", make,
			 PUBLIC_FOLDER, err)) < 0)
		goto out;
	rc = certauto__folder_open_in(out, &well_known, "acme-challenge", make, PUBLIC_FOLDER, err);
out:
	certauto__folder_close(&root);
	certauto__folder_close(&well_known);
	return rc;
}

static int write_call(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__access access = {PUBLIC_FILE, CERTAUTO__NOBODY, CERTAUTO__NO_GROUP};
	const certauto_target *target = certauto__job_env(job);
	const char *value = certauto__fact(job, ".value");
	struct certauto__folder folder = CERTAUTO__FOLDER;
	int rc;

	if ((rc = open_challenges(&folder, certauto__option_text(target, "webroot"), 1,
		     &x->error)) < 0)
		return rc;
	rc = certauto__folder_write(&folder, certauto__fact(job, "token"), value, strlen(value),
		&access, &x->error);
	certauto__folder_close(&folder);
	return rc;
}

static int remove_call(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	struct certauto__folder folder = CERTAUTO__FOLDER;
	int rc;

	rc = open_challenges(&folder, certauto__option_text(target, "webroot"), 0, &x->error);
	if (rc == 0)
		rc = certauto__folder_remove(&folder, certauto__fact(job, "token"), &x->error);
	certauto__folder_close(&folder);
	if (rc != CERTAUTO_ENOTFOUND)
		return rc;
	/* No folder, no file. */
	certauto__error_clear(&x->error);
	return 0;
}

static certauto__verdict ask_file(certauto_job *job, certauto__exchange *x, const char *what,
	certauto__call_fn call)
{
	const certauto_target *target = certauto__job_env(job);
	const char *token = certauto__fact(job, "token");
	certauto__verdict verdict = certauto__ask_call(x, call);

	x->method = what;
	certauto__buffer_init(&x->url, CERTAUTO__HTTP_URL_MAX);
	certauto__buffer_printf(&x->url, "%s/.well-known/acme-challenge/%s",
		certauto__option_text(target, "webroot"), token != NULL ? token : "");
	return verdict;
}

static certauto__verdict file_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);

	if (certauto__target_able(target, CERTAUTO_TARGET_HTTP01, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (!certauto__planning(job) &&
		(!is_token(certauto__fact(job, "token")) || certauto__fact(job, ".value") == NULL))
		return certauto__fail(job, CERTAUTO_EINVAL, target->label,
			"%s: the challenge's token has characters that none may have (RFC 8555 "
			"8.3)",
			target->label);
	return ask_file(job, x, "write", write_call);
}

static certauto__verdict file_undo(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);

	if (!is_token(certauto__fact(job, "token")) ||
		certauto__option_text(target, "webroot") == NULL)
		return CERTAUTO__NEXT; /* it was refused for that */
	return ask_file(job, x, "remove", remove_call);
}

static const struct certauto__step files_present_steps[] = {
	{.name = "file", .ask = file_ask, .undo = file_undo},
	CERTAUTO__STEP_CHALLENGE_CHECK,
};

const struct certauto__table certauto__pemfiles_present = {
	.name = "files-present",
	.steps = files_present_steps,
	.n_steps = sizeof(files_present_steps) / sizeof(files_present_steps[0]),
};
