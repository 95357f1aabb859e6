/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of PEM files and a program that makes a server read them: nginx, Apache and
 * whatever else reads its certificates from files. The row, its options, and what a file is
 * called and holds; the challenge is in files_present.c, the deployment in files_deploy.c. */

#include "targets/files.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "targets/targets.h"

#define FILES_WIDTH 8
#define NAME_MAX_LEN 200 /* room for the prefix of a temporary in 255 */
#define GROUP_BUFFER (64 * 1024)

static const struct certauto__option files_options[] = {
	{.name = "directory",
		.type = CERTAUTO__OPTION_PATH,
		.needed_for = CERTAUTO_TARGET_DEPLOY,
		.help = "folder the certificates are written to; it must belong to this user or "
			"root"},
	{.name = "webroot",
		.type = CERTAUTO__OPTION_PATH,
		.needed_for = CERTAUTO_TARGET_HTTP01,
		.help = "folder a web server serves at port 80 of the names: the answer to a "
			"challenge is put below .well-known/acme-challenge/ there"},
	{.name = "alpn_directory",
		.type = CERTAUTO__OPTION_PATH,
		.needed_for = CERTAUTO_TARGET_TLSALPN01,
		.help = "folder the certificates of tls-alpn-01 challenges are put into as "
			"NAME.pem, each with its key: for a server that takes them from there for "
			"clients that offer the protocol acme-tls/1; as private as directory"},
	{.name = "reload",
		.type = CERTAUTO__OPTION_ARGV,
		.help = "program to run, without a shell, when files have changed: [\"systemctl\", "
			"\"reload\", \"nginx\"]; when it fails the old files are put back"},
	{.name = "key_file",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "{name}.key.pem",
		.may_be_empty = 1,
		.help = "file of the private key; {name} is the certificate's name, {key} its key "
			"type; with several keys .{key} is added where it is not written; empty = "
			"not written"},
	{.name = "cert_file",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "{name}.cert.pem",
		.may_be_empty = 1,
		.help = "file of the certificate alone, as key_file"},
	{.name = "chain_file",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "{name}.chain.pem",
		.may_be_empty = 1,
		.help = "file of the intermediate certificates, as key_file"},
	{.name = "fullchain_file",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "{name}.fullchain.pem",
		.may_be_empty = 1,
		.help = "file of the certificate and its intermediates, as key_file"},
	{.name = "combined_file",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "",
		.help = "file of certificate, intermediates and private key, as key_file"},
	{.name = "mode",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "0644",
		.help = "mode of the files without a private key"},
	{.name = "key_mode",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "0600",
		.help = "mode of the files with a private key; may give the group something, "
			"others nothing"},
	{.name = "group",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "group the files are given to, by name or number"},
	{.name = NULL}};

static const char *const role_names[] = {"key", "cert", "chain", "fullchain", "combined"};
static const char *const role_options[] = {
	"key_file", "cert_file", "chain_file", "fullchain_file", "combined_file"};

static int role_has_key(enum certauto__pemfiles_role role)
{
	return role == CERTAUTO__PEMFILES_KEY || role == CERTAUTO__PEMFILES_COMBINED;
}

const char *certauto__pemfiles_role_name(enum certauto__pemfiles_role role)
{
	return role_names[role];
}

/* ---- names ---- */

static int pattern_check(const certauto_target *target, const char *option, certauto_error *err)
{
	const char *text = certauto__option_text(target, option), *p;

	if (text == NULL)
		return 0;
	if (strchr(text, '/') != NULL || text[0] == '.')
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"%s\" is the name of a file in the directory: no \"/\", no "
			"dot in front",
			target->label, option);
	for (p = text; (p = strchr(p, '{')) != NULL; p++) {
		if (!certauto__text_starts(p, "{name}") && !certauto__text_starts(p, "{key}"))
			return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
				"%s: option \"%s\" knows {name} and {key}, nothing else in braces",
				target->label, option);
	}
	return 0;
}

/* Where ".{key}" is put into a pattern that does not have it: behind the name, else before the
 * ending. */
static size_t pattern_key_at(const char *pattern)
{
	const char *name = strstr(pattern, "{name}");

	return name != NULL ? (size_t)(name - pattern) + strlen("{name}") : strcspn(pattern, ".");
}

int certauto__pemfiles_name(certauto__buffer *out, const struct certauto__deployment *deployment,
	enum certauto__pemfiles_role role, certauto_error *err)
{
	const char *pattern = certauto__option_text(deployment->target, role_options[role]), *p;
	size_t key_at = (size_t)-1;

	if (pattern == NULL)
		return 0;
	if (deployment->n_keys > 1 && strstr(pattern, "{key}") == NULL)
		key_at = pattern_key_at(pattern);
	for (p = pattern;;) {
		if ((size_t)(p - pattern) == key_at)
			certauto__buffer_printf(out, ".%s", deployment->key_type);
		if (*p == '\0')
			break;
		if (certauto__text_starts(p, "{name}")) {
			certauto__buffer_text_add(out, deployment->name);
			p += strlen("{name}");
		} else if (certauto__text_starts(p, "{key}")) {
			certauto__buffer_text_add(out, deployment->key_type);
			p += strlen("{key}");
		} else {
			certauto__buffer_add(out, p++, 1);
		}
	}
	if (out->rc < 0)
		return certauto__error_nomem(err);
	if (out->len > NAME_MAX_LEN || out->data[0] == '.')
		return certauto__error_set(err, CERTAUTO_EINVAL, deployment->target->label,
			"%s: \"%s\" cannot be the name of a file", deployment->target->label,
			out->data);
	return 0;
}

/* ---- contents ---- */

static int content_key(certauto__buffer *out, const struct certauto__deployment *deployment,
	certauto_error *err)
{
	certauto__secret *key = NULL;
	int rc;

	out->secret = 1;
	if (deployment->key == NULL || certauto__pkey_is_signer(deployment->key))
		return certauto__error_set(err, CERTAUTO_EUNSUPPORTED, deployment->name,
			"%s: the private key of \"%s\" is kept elsewhere and cannot be written",
			deployment->target->label, deployment->name);
	if ((rc = certauto__pkey_format(&key, deployment->key, err)) == 0)
		certauto__buffer_add(out, certauto__secret_data(key), certauto__secret_len(key));
	certauto__secret_free(key);
	return rc;
}

int certauto__pemfiles_content(certauto__buffer *out, const struct certauto__deployment *deployment,
	enum certauto__pemfiles_role role, certauto_error *err)
{
	int rc = 0;

	switch (role) {
	case CERTAUTO__PEMFILES_KEY:
		rc = content_key(out, deployment, err);
		break;
	case CERTAUTO__PEMFILES_CERT:
		certauto__certs_format(out, deployment->chain, CERTAUTO__PART_LEAF);
		break;
	case CERTAUTO__PEMFILES_CHAIN:
		certauto__certs_format(out, deployment->chain, CERTAUTO__PART_INTERMEDIATES);
		break;
	case CERTAUTO__PEMFILES_FULLCHAIN:
		certauto__certs_format(out, deployment->chain, CERTAUTO__PART_FULL);
		break;
	case CERTAUTO__PEMFILES_COMBINED:
		out->secret = 1;
		certauto__certs_format(out, deployment->chain, CERTAUTO__PART_FULL);
		rc = content_key(out, deployment, err);
		break;
	case CERTAUTO__PEMFILES_ROLES:
		break;
	}
	return rc == 0 && out->rc < 0 ? certauto__error_nomem(err) : rc;
}

static int group_find(const certauto_target *target, const char *name, gid_t *out,
	certauto_error *err)
{
	struct group group, *found = NULL;
	int64_t number;
	char *buffer;

	if (certauto__number_parse(name, 0, INT32_MAX, &number) == 0) {
		*out = (gid_t)number;
		return 0;
	}
	if ((buffer = certauto__alloc(GROUP_BUFFER)) == NULL)
		return certauto__error_nomem(err);
	if (getgrnam_r(name, &group, buffer, GROUP_BUFFER, &found) == 0 && found != NULL)
		*out = found->gr_gid;
	certauto__free(buffer);
	return found != NULL
		? 0
		: certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			  "%s: option \"group\": there is no group \"%s\" on this machine",
			  target->label, name);
}

int certauto__pemfiles_access(struct certauto__access *out, const certauto_target *target,
	enum certauto__pemfiles_role role, certauto_error *err)
{
	const char *group = certauto__option_text(target, "group");

	out->owner = CERTAUTO__NOBODY;
	out->group = CERTAUTO__NO_GROUP;
	if (certauto__mode_parse(certauto__option_text(target,
					 role_has_key(role) ? "key_mode" : "mode"),
		    &out->mode) < 0)
		out->mode = 0600;
	return group != NULL ? group_find(target, group, &out->group, err) : 0;
}

/* ---- the row ---- */

static int mode_check(const certauto_target *target, const char *option, mode_t forbidden,
	certauto_error *err)
{
	const char *text = certauto__option_text(target, option);
	mode_t mode;

	if (text != NULL && certauto__mode_parse(text, &mode) == 0 && (mode & forbidden) == 0)
		return 0;
	return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
		"%s: option \"%s\" is an octal mode such as %s", target->label, option,
		forbidden == CERTAUTO__OTHERS
			? "0600 or 0640 that gives others nothing: there is a private key in these "
			  "files"
			: "0644");
}

/* Two roles in one file: the second would take the place of the first. */
static int patterns_differ(const certauto_target *target, certauto_error *err)
{
	enum certauto__pemfiles_role a, b;
	const char *text;

	for (a = CERTAUTO__PEMFILES_KEY; a < CERTAUTO__PEMFILES_ROLES; a++) {
		text = certauto__option_text(target, role_options[a]);
		for (b = CERTAUTO__PEMFILES_KEY; text != NULL && *text != '\0' && b < a; b++)
			if (certauto__text_equal(text,
				    certauto__option_text(target, role_options[b])))
				return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
					"%s: options \"%s\" and \"%s\" name the same file",
					target->label, role_options[b], role_options[a]);
	}
	return 0;
}

static int files_check(certauto_target *target, certauto_error *err)
{
	const char *group = certauto__option_text(target, "group"),
		   *directory = certauto__option_text(target, "directory");
	enum certauto__pemfiles_role role;
	gid_t gid;
	int rc;

	for (role = CERTAUTO__PEMFILES_KEY; role < CERTAUTO__PEMFILES_ROLES; role++) {
		if ((rc = pattern_check(target, role_options[role], err)) < 0)
			return rc;
	}
	if ((rc = patterns_differ(target, err)) < 0 ||
		(rc = mode_check(target, "mode", S_IWOTH, err)) < 0 ||
		(rc = mode_check(target, "key_mode", CERTAUTO__OTHERS, err)) < 0)
		return rc;
	if (directory == NULL &&
		certauto__option_text(target, "webroot") == NULL &&
		certauto__option_text(target, "alpn_directory") == NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s (files): set directory (to deploy), webroot or alpn_directory (to "
			"answer challenges) or several of them",
			target->label);
	/* NAME.pem there may be what a server reads, by cert_file and its like. */
	if (directory != NULL &&
		certauto__text_equal(directory, certauto__option_text(target, "alpn_directory")))
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s (files): alpn_directory must be another folder than directory",
			target->label);
	return group != NULL ? group_find(target, group, &gid, err) : 0;
}

int certauto__pemfiles_told(const certauto_target *target, const char *option, certauto_error *err)
{
	if (err != NULL && err->code == CERTAUTO_ENOTFOUND && err->advice == NULL)
		certauto__error_advise(
			err, "make that folder, or correct the option \"%s\"", option);
	return certauto__error_prefix(err, "%s: option \"%s\"", target->label, option);
}

int certauto__pemfiles_open(struct certauto__folder *out, const certauto_target *target,
	const char *option, certauto_error *err)
{
	int rc;

	if ((rc = certauto__folder_open(out, certauto__option_text(target, option), err)) == 0 &&
		(rc = certauto__folder_check_private(out, err)) == 0)
		return 0;
	certauto__pemfiles_told(target, option, err);
	certauto__folder_close(out);
	return rc;
}

static const struct certauto__peer_ops files_peer_ops = {.kind = "files"};

/* Nothing is asked of it; its turn keeps deployments into one folder, and their reloads, apart. */
static int files_peer(certauto_target *target, certauto__peer **out, certauto_error *err)
{
	static const char *const options[] = {"directory", "webroot", "alpn_directory"};
	certauto__buffer key = CERTAUTO__BUFFER(8192);
	const char *place = NULL;
	size_t i;
	int rc, made;

	for (i = 0; i < sizeof(options) / sizeof(options[0]) && place == NULL; i++)
		place = certauto__option_text(target, options[i]);
	certauto__buffer_printf(&key, "files:%s", place != NULL ? place : "");
	if (key.rc < 0)
		rc = certauto__error_nomem(err);
	else if ((rc = certauto__peer_get(out, target->object.cx, &files_peer_ops,
			  certauto__buffer_text(&key), FILES_WIDTH, &made)) < 0)
		certauto__error_set(err, rc, target->label, "%s: %s", target->label,
			certauto_error_text(rc));
	certauto__buffer_free(&key);
	return rc;
}

static int private_folder_test(const certauto_target *target, const char *option,
	certauto_error *err)
{
	struct certauto__folder folder = CERTAUTO__FOLDER;
	int rc = 0;

	if (certauto__option_text(target, option) != NULL)
		rc = certauto__pemfiles_open(&folder, target, option, err);
	certauto__folder_close(&folder);
	return rc;
}

static certauto__verdict folders_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *webroot = certauto__option_text(target, "webroot");
	struct certauto__folder folder = CERTAUTO__FOLDER;
	certauto_error error = {0};
	int rc;

	(void)x;
	if ((rc = private_folder_test(target, "directory", &error)) == 0)
		rc = private_folder_test(target, "alpn_directory", &error);
	if (rc == 0 && webroot != NULL) {
		if ((rc = certauto__folder_open(&folder, webroot, &error)) == 0 &&
			faccessat(folder.fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
			rc = certauto__error_set(&error, CERTAUTO_EPERM, webroot,
				"no right to write in %s", webroot);
		if (rc < 0)
			certauto__pemfiles_told(target, "webroot", &error);
	}
	certauto__folder_close(&folder);
	return rc < 0 ? certauto__fail_with(job, &error) : CERTAUTO__NEXT;
}

static const struct certauto__step files_test_steps[] = {
	{.name = "folders", .ask = folders_ask, .flags = CERTAUTO__READS},
};

static const struct certauto__table files_test = {
	.name = "files-test",
	.steps = files_test_steps,
	.n_steps = sizeof(files_test_steps) / sizeof(files_test_steps[0]),
};

const struct certauto__target_row certauto__target_files = {
	.name = "files",
	.caps = CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_TLSALPN01 | CERTAUTO_TARGET_DEPLOY,
	.options = files_options,
	.check = files_check,
	.peer = files_peer,
	.present = &certauto__pemfiles_present,
	.deploy = &certauto__pemfiles_deploy.table,
	.test = &files_test,
};
