/* SPDX-License-Identifier: Apache-2.0 */
/* http-01 through the web root of a server: a file with the answer below
 * .well-known/acme-challenge/. The web root is often writable for others than us: nothing in it
 * is opened through a link, and an existing file is replaced, never written into. tls-alpn-01: a
 * file with certificate and key, by whose name a server finds it that chooses by SNI. */

#include "targets/files.h"

#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#define PUBLIC_FOLDER 0755
#define PUBLIC_FILE 0644
#define FILE_NAME 256
#define CONTENT_MAX (16 * 1024)

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

static int is_alpn(const certauto_job *job)
{
	return certauto__text_equal(certauto__fact(job, "challenge"), "tls-alpn-01");
}

/* The folder the answer goes into; CERTAUTO_ENOTFOUND: it is not there. */
static int open_place(struct certauto__folder *out, const certauto_job *job, int make,
	certauto_error *err)
{
	const certauto_target *target = certauto__job_env(job);

	if (is_alpn(job))
		return certauto__pemfiles_open(out, target, "alpn_directory", err);
	if (open_challenges(out, certauto__option_text(target, "webroot"), make, err) == 0)
		return 0;
	return certauto__pemfiles_told(target, "webroot", err);
}

/* What the file is called: nothing that could be a path. 0 = there is no such name. */
static int file_name(char out[FILE_NAME], const certauto_job *job)
{
	const char *text = certauto__fact(job, is_alpn(job) ? "record" : "token");

	out[0] = '\0';
	if (is_alpn(job))
		return certauto__dns_name_check(text, NULL) == 0 && text[0] != '*' &&
			snprintf(out, FILE_NAME, "%s.pem", text) < FILE_NAME;
	return is_token(text) && snprintf(out, FILE_NAME, "%s", text) < FILE_NAME;
}

/* nginx opens the certificate of a challenge in a worker, which has no more rights than the
 * group. */
static int alpn_access(struct certauto__access *out, const certauto_target *target,
	certauto_error *err)
{
	int rc = certauto__pemfiles_access(out, target, CERTAUTO__PEMFILES_COMBINED, err);

	if (out->group != CERTAUTO__NO_GROUP)
		out->mode |= S_IRGRP;
	return rc;
}

static int write_call(certauto_job *job, certauto__exchange *x)
{
	struct certauto__access access = {PUBLIC_FILE, CERTAUTO__NOBODY, CERTAUTO__NO_GROUP};
	const certauto_target *target = certauto__job_env(job);
	certauto__buffer content = CERTAUTO__BUFFER(CONTENT_MAX);
	struct certauto__folder folder = CERTAUTO__FOLDER;
	char name[FILE_NAME];
	int rc;

	file_name(name, job);
	if ((rc = open_place(&folder, job, 1, &x->error)) < 0)
		return rc;
	if (!is_alpn(job))
		rc = certauto__buffer_text_add(&content, certauto__fact(job, ".value"));
	else if ((rc = alpn_access(&access, target, &x->error)) == 0)
		rc = certauto__present_pair(&content, job, &x->error);
	if (rc == 0)
		rc = certauto__folder_write(&folder, name, content.data, content.len, &access,
			&x->error);
	else if (x->error.code == 0)
		certauto__error_nomem(&x->error);
	certauto__folder_close(&folder);
	certauto__buffer_free(&content);
	return rc;
}

static int remove_call(certauto_job *job, certauto__exchange *x)
{
	struct certauto__folder folder = CERTAUTO__FOLDER;
	char name[FILE_NAME];
	int rc;

	file_name(name, job);
	if ((rc = open_place(&folder, job, 0, &x->error)) == 0)
		rc = certauto__folder_remove(&folder, name, &x->error);
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
	certauto__verdict verdict = certauto__ask_call(x, call);
	char name[FILE_NAME];

	file_name(name, job);
	x->method = what;
	certauto__buffer_init(&x->url, CERTAUTO__HTTP_URL_MAX);
	certauto__buffer_printf(&x->url, "%s/%s%s",
		certauto__option_text(target, is_alpn(job) ? "alpn_directory" : "webroot"),
		is_alpn(job) ? "" : ".well-known/acme-challenge/", name);
	return verdict;
}

static certauto__verdict file_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	char name[FILE_NAME];

	if (certauto__target_able(target,
		    is_alpn(job) ? CERTAUTO_TARGET_TLSALPN01 : CERTAUTO_TARGET_HTTP01,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (!certauto__planning(job) &&
		(!file_name(name, job) || certauto__fact(job, ".value") == NULL))
		return certauto__fail(job, CERTAUTO_EINVAL, target->label,
			is_alpn(job) ? "%s: the name is no DNS name, or too long for a file's name"
				     : "%s: the challenge's token has characters that none may "
				       "have (RFC 8555 8.3)",
			target->label);
	return ask_file(job, x, "write", write_call);
}

static certauto__verdict file_undo(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	char name[FILE_NAME];

	if (!file_name(name, job) ||
		certauto__option_text(target, is_alpn(job) ? "alpn_directory" : "webroot") == NULL)
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
