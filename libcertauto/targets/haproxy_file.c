/* SPDX-License-Identifier: Apache-2.0 */
/* The PEM of a deployment and the file on disk. The file is what a restart of HAProxy loads, and
 * until the new certificate is proved it is what the old state can be restored from: HAProxy
 * gives no key back. */

#include "targets/haproxy.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "targets/folder.h"

#define TEMPORARY_PREFIX \
	".certauto-" /* HAProxy skips names with a dot in front when it loads a folder */

int certauto__haproxy_path(certauto__buffer *out, const struct certauto__deployment *deployment)
{
	certauto__buffer_text_add(out, certauto__option_text(deployment->target, "crt"));
	if (deployment->n_keys > 1)
		certauto__buffer_printf(out, ".%s", certauto__deployment_family(deployment));
	return out->rc;
}

/* ---- payloads ---- */

/* A blank line would end the payload, and what follows it would be run as commands. */
static int payload_is_safe(const certauto__buffer *b)
{
	size_t i;

	if (b->rc < 0 || b->len < 2 || b->data[0] == '\n' || b->data[b->len - 1] != '\n')
		return 0;
	for (i = 0; i < b->len; i++) {
		if (b->data[i] == '\r' || b->data[i] == '\0' ||
			(i > 0 && b->data[i] == '\n' && b->data[i - 1] == '\n'))
			return 0;
	}
	return 1;
}

int certauto__haproxy_payload(certauto__buffer *out, const struct certauto__deployment *deployment,
	certauto_error *err)
{
	certauto__secret *key = NULL;
	int rc;

	out->secret = 1;
	if (deployment->key == NULL || certauto__pkey_is_signer(deployment->key)) {
		certauto__error_set(err, CERTAUTO_EUNSUPPORTED, deployment->name,
			"%s: HAProxy needs the private key of \"%s\", which is kept elsewhere",
			deployment->target->label, deployment->name);
		return certauto__error_advise(err,
			"let certauto make the key, or deploy to a target that has it");
	}
	if ((rc = certauto__pkey_format(&key, deployment->key, err)) < 0)
		goto out;
	certauto__certs_format(out, deployment->chain, CERTAUTO__PART_FULL);
	certauto__buffer_add(out, certauto__secret_data(key), certauto__secret_len(key));
	if (out->rc < 0)
		rc = certauto__error_nomem(err);
	else if (!payload_is_safe(out))
		rc = certauto__error_set(err, CERTAUTO_EINVAL, deployment->name,
			"%s: the PEM of \"%s\" has blank lines", deployment->target->label,
			deployment->name);
out:
	certauto__secret_free(key);
	return rc;
}

/* Copies the PEM blocks of text, or only those with that label, without anything between or
 * inside them that a payload may not have. */
static void pem_copy(certauto__buffer *out, const char *text, const char *label)
{
	int inside = 0, ends;
	size_t len, step;

	for (; *text != '\0'; text += step) {
		len = strcspn(text, "\n");
		step = len + (text[len] == '\n');
		while (len > 0 && (unsigned char)text[len - 1] <= ' ')
			len--;
		if (strncmp(text, "-----BEGIN ", 11) == 0)
			inside = label == NULL || strncmp(text + 11, label, strlen(label)) == 0;
		ends = strncmp(text, "-----END ", 9) == 0;
		if (inside && len > 0) {
			certauto__buffer_add(out, text, len);
			certauto__buffer_text_add(out, "\n");
		}
		if (ends)
			inside = 0;
	}
}

/* ---- the file ---- */

static int split_path(struct certauto__folder *folder, const char **name, const char *path,
	certauto_error *err)
{
	const char *slash = strrchr(path, '/');
	char *parent;
	int rc;

	*name = slash + 1;
	if ((parent = certauto__memdup(path, slash == path ? 1 : (size_t)(slash - path))) == NULL)
		return certauto__error_nomem(err);
	rc = certauto__folder_open(folder, parent, err);
	certauto__free(parent);
	return rc;
}

static int file_leaf(const certauto__buffer *raw, char *serial_out, int64_t *not_after_out,
	certauto_error *err)
{
	certauto__buffer pem = CERTAUTO__BUFFER(CERTAUTO__FILE_MAX);
	const struct certauto__cert_info *leaf;
	certauto__certs *certs = NULL;
	int rc;

	pem_copy(&pem, certauto__buffer_text(raw), "CERTIFICATE");
	if ((rc = certauto__certs_parse(&certs, pem.data, pem.len, 0, err)) == 0) {
		leaf = certauto__certs_info(certs, 0);
		*not_after_out = leaf->not_after;
		snprintf(serial_out, CERTAUTO__HAPROXY_SERIAL, "%s", leaf->serial);
	}
	certauto__certs_free(certs);
	certauto__buffer_free(&pem);
	return rc;
}

int certauto__haproxy_file_read(certauto__buffer *out, const char *path, char *serial_out,
	int64_t *not_after_out, certauto_error *err)
{
	certauto__buffer raw = CERTAUTO__BUFFER(CERTAUTO__FILE_MAX);
	struct certauto__folder folder = CERTAUTO__FOLDER;
	const char *name;
	int rc;

	raw.secret = out->secret = 1;
	if ((rc = split_path(&folder, &name, path, err)) < 0 ||
		(rc = certauto__folder_read(&folder, name, &raw, NULL, err)) < 0 ||
		(rc = file_leaf(&raw, serial_out, not_after_out, err)) < 0)
		goto out;
	pem_copy(out, certauto__buffer_text(&raw), NULL);
	if (!payload_is_safe(out))
		rc = certauto__error_set(err, CERTAUTO_ECERT, path,
			"%s has no PEM that could be sent", path);
out:
	certauto__folder_close(&folder);
	certauto__buffer_free(&raw);
	return rc;
}

int certauto__haproxy_file_is(const char *path, const certauto__buffer *payload)
{
	certauto__buffer raw = CERTAUTO__BUFFER(CERTAUTO__FILE_MAX);
	struct certauto__folder folder = CERTAUTO__FOLDER;
	const char *name;
	struct stat st;
	int same = 0;

	raw.secret = 1;
	if (split_path(&folder, &name, path, NULL) == 0 &&
		certauto__folder_read(&folder, name, &raw, &st, NULL) == 0)
		same = raw.len == payload->len && memcmp(raw.data, payload->data, raw.len) == 0 &&
			(st.st_mode & CERTAUTO__OTHERS) == 0;
	certauto__folder_close(&folder);
	certauto__buffer_free(&raw);
	return same;
}

/* In a sticky folder, such as /tmp, anybody can put a file there first: its owner would be given
 * the key. */
static int check_owner(const struct certauto__folder *folder, const char *name,
	const struct stat *file, certauto_error *err)
{
	struct stat st;

	if (file->st_uid == geteuid() || file->st_uid == 0 ||
		(fstat(folder->fd, &st) == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0))
		return 0;
	return certauto__error_set(err, CERTAUTO_EPERM, folder->path,
		"%s/%s belongs to user %ld, in a folder that others can write to: the key would be "
		"theirs",
		folder->path, name, (long)file->st_uid);
}

int certauto__haproxy_file_check(const char *path, certauto_error *err)
{
	certauto__buffer raw = CERTAUTO__BUFFER(CERTAUTO__FILE_MAX);
	struct certauto__folder folder = CERTAUTO__FOLDER;
	const char *name;
	struct stat st;
	int rc;

	raw.secret = 1;
	if ((rc = split_path(&folder, &name, path, err)) < 0 ||
		(rc = certauto__folder_check_private(&folder, err)) < 0)
		goto out;
	if (certauto__folder_has(&folder, name) &&
		(rc = certauto__folder_read(&folder, name, &raw, &st, err)) == 0)
		rc = check_owner(&folder, name, &st, err);
out:
	certauto__folder_close(&folder);
	certauto__buffer_free(&raw);
	return rc;
}

/* A file that is replaced keeps owner, group and mode, but for what others could read: it holds
 * a key. */
static int file_access(struct certauto__access *access, const certauto_target *target,
	const struct certauto__folder *folder, const char *name, certauto_error *err)
{
	certauto__buffer raw = CERTAUTO__BUFFER(CERTAUTO__FILE_MAX);
	struct stat st;
	int rc = 0;

	raw.secret = 1;
	access->owner = CERTAUTO__NOBODY;
	access->group = CERTAUTO__NO_GROUP;
	if (certauto__folder_read(folder, name, &raw, &st, NULL) == 0) {
		access->owner = st.st_uid != geteuid() ? st.st_uid : CERTAUTO__NOBODY;
		access->group = st.st_gid != getegid() ? st.st_gid : CERTAUTO__NO_GROUP;
		access->mode = st.st_mode & 07777 & ~(mode_t)CERTAUTO__OTHERS;
		rc = check_owner(folder, name, &st, err);
	} else if (certauto__mode_parse(certauto__option_text(target, "mode"), &access->mode) < 0) {
		access->mode = 0600;
	}
	certauto__buffer_free(&raw);
	return rc;
}

int certauto__haproxy_file_replace(const certauto_target *target, const char *path,
	const certauto__buffer *payload, certauto_error *err)
{
	certauto__buffer temporary = CERTAUTO__BUFFER(512);
	struct certauto__folder folder = CERTAUTO__FOLDER;
	struct certauto__access access;
	const char *name;
	int rc;

	if ((rc = split_path(&folder, &name, path, err)) < 0 ||
		(rc = certauto__folder_check_private(&folder, err)) < 0)
		goto out;
	certauto__buffer_printf(&temporary, TEMPORARY_PREFIX "%s", name);
	if (temporary.rc < 0) {
		rc = certauto__error_nomem(err);
		goto out;
	}
	if ((rc = file_access(&access, target, &folder, name, err)) < 0 ||
		(rc = certauto__folder_write(&folder, temporary.data, payload->data, payload->len,
		     &access, err)) < 0 ||
		(rc = certauto__folder_rename(&folder, temporary.data, name, err)) < 0)
		goto out;
	rc = certauto__folder_sync(&folder, err);
out:
	certauto__folder_close(&folder);
	certauto__buffer_free(&temporary);
	return rc;
}
