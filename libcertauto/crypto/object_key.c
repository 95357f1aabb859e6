/* SPDX-License-Identifier: Apache-2.0 */
/* The public noun key: a crypto key with a count of references. */
#include "crypto/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/context.h"
#include "core/memory.h"

#define KEY_FILE_MAX (64 * 1024)

/* One signature asked of the host; lives for one callback. */
struct certauto_signing {
	const char *alg;
	const unsigned char *digest;
	size_t digest_len;
	certauto__buffer *signature;
	int answered;
};

static void key_destroy(void *object)
{
	certauto_key *key = object;

	certauto__pkey_free(key->pkey);
	if (key->free_cb != NULL)
		key->free_cb(key->payload);
}

int certauto__key_wrap(certauto_key **out, certauto_context *cx, certauto__pkey *pkey,
	certauto_error *err)
{
	certauto_key *key = certauto__object_new(cx, sizeof(*key), key_destroy);

	if (key == NULL) {
		certauto__pkey_free(pkey);
		return certauto__error_nomem(err);
	}
	key->pkey = pkey;
	*out = key;
	return 0;
}

int certauto_key_new(certauto_key **out, certauto_context *cx, const char *type)
{
	certauto__pkey *pkey;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || type == NULL)
		rc = CERTAUTO_EINVAL;
	else if ((rc = certauto__pkey_new(&pkey, type, &cx->error)) == 0)
		rc = certauto__key_wrap(out, cx, pkey, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_key_parse(certauto_key **out, certauto_context *cx, const unsigned char *data,
	size_t data_len)
{
	certauto__pkey *pkey;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || data == NULL)
		rc = CERTAUTO_EINVAL;
	else if ((rc = certauto__pkey_parse(&pkey, data, data_len, &cx->error)) == 0)
		rc = certauto__key_wrap(out, cx, pkey, &cx->error);
	return certauto__leave(cx, rc);
}

/* ---- from a file ---- */

static int file_check(int fd, const char *path, size_t *size, certauto_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return certauto__error_errno(err, errno, path, "look at the key file");
	if (!S_ISREG(st.st_mode) || st.st_size > KEY_FILE_MAX)
		return certauto__error_set(err, CERTAUTO_EINVAL, path,
			"%s: not a file that can hold one key", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return certauto__error_set(err, CERTAUTO_EPERM, path,
			"%s: the key file belongs to another user (id %ld)", path, (long)st.st_uid);
	if ((st.st_mode & 077) != 0) {
		certauto__error_set(err, CERTAUTO_EPERM, path,
			"%s: the key file has mode %04o: group and others must have no right",
			path, (unsigned)(st.st_mode & 07777));
		return certauto__error_advise(err,
			"chmod 600 %s, and think about who may have read it", path);
	}
	*size = (size_t)st.st_size;
	return 0;
}

static int file_read(int fd, const char *path, certauto__secret *secret, certauto_error *err)
{
	size_t at = 0, size = certauto__secret_len(secret);
	ssize_t n;

	while (at < size) {
		n = read(fd, certauto__secret_data(secret) + at, size - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return certauto__error_errno(err, errno, path, "read the key file");
		if (n == 0)
			break;
		at += (size_t)n;
	}
	return certauto__secret_set_len(secret, at);
}

static int key_load(certauto__pkey **out, const char *path, certauto_error *err)
{
	certauto__secret *secret = NULL;
	size_t size = 0;
	int rc, fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) < 0)
		return certauto__error_errno(err, errno, path, "open the key file");
	if ((rc = file_check(fd, path, &size, err)) == 0 &&
	    (rc = certauto__secret_new_size(&secret, size + 1)) == 0 &&
	    (rc = certauto__secret_set_len(secret, size)) == 0 &&
	    (rc = file_read(fd, path, secret, err)) == 0 &&
	    (rc = certauto__pkey_parse(out, certauto__secret_data(secret),
	    certauto__secret_len(secret), err)) < 0)
		certauto__error_prefix(err, "%s", path);
	certauto__secret_free(secret);
	close(fd);
	return rc;
}

int certauto_key_load(certauto_key **out, certauto_context *cx, const char *path)
{
	certauto__pkey *pkey;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || path == NULL)
		rc = CERTAUTO_EINVAL;
	else if ((rc = key_load(&pkey, path, &cx->error)) == 0)
		rc = certauto__key_wrap(out, cx, pkey, &cx->error);
	return certauto__leave(cx, rc);
}

/* ---- a key kept elsewhere ---- */

static int sign_by_host(void *arg, const char *alg, const unsigned char *digest, size_t digest_len,
	certauto__buffer *signature, certauto_error *err)
{
	certauto_key *key = arg;
	certauto_signing signing = { alg, digest, digest_len, signature, 0 };
	certauto_context *cx = key->object.cx;
	int rc;

	cx->in_callback++;
	rc = key->sign_cb(&signing, key->payload);
	cx->in_callback--;
	if (rc < 0)
		return certauto__error_set(err, rc, NULL, "the signer of the key failed");
	if (rc > 0 || !signing.answered)
		return certauto__error_set(err, CERTAUTO_EPROTO, NULL,
			"the signer of the key gave no signature");
	return 0;
}

int certauto_key_new_signer(certauto_key **out, certauto_context *cx, const unsigned char *data,
	size_t data_len, certauto_sign_cb cb, void *payload, certauto_free_cb free_cb)
{
	certauto_key *key = NULL;
	int rc;

	if ((rc = certauto__enter(cx)) < 0) {
		if (free_cb != NULL)
			free_cb(payload);
		return rc;
	}
	if (out == NULL || data == NULL || cb == NULL)
		rc = CERTAUTO_EINVAL;
	else
		rc = certauto__key_wrap(&key, cx, NULL, &cx->error);
	if (rc == 0) {
		key->sign_cb = cb;
		rc = certauto__pkey_new_signer(&key->pkey, data, data_len, sign_by_host, key,
			&cx->error);
	}
	if (rc == 0) {
		key->payload = payload;
		key->free_cb = free_cb;
		*out = key;
	} else {
		certauto__object_unref(key);
		if (free_cb != NULL)
			free_cb(payload);
	}
	return certauto__leave(cx, rc);
}

const char *certauto_signing_alg(const certauto_signing *signing)
{
	return signing != NULL ? signing->alg : NULL;
}

const unsigned char *certauto_signing_digest(const certauto_signing *signing, size_t *out_len)
{
	if (out_len != NULL)
		*out_len = signing != NULL ? signing->digest_len : 0;
	return signing != NULL ? signing->digest : NULL;
}

int certauto_signing_set_signature(certauto_signing *signing, const unsigned char *data,
	size_t data_len)
{
	if (signing == NULL || data == NULL || data_len == 0)
		return CERTAUTO_EINVAL;
	certauto__buffer_clear(signing->signature);
	signing->answered = 1;
	return certauto__buffer_add(signing->signature, data, data_len);
}

/* ---- out again ---- */

/* Gives bytes to the caller of the public API. */
static int give(unsigned char **out, size_t *out_len, const void *data, size_t len,
	certauto_error *err)
{
	void *given = certauto__give(data, len);

	if (given == NULL)
		return certauto__error_nomem(err);
	*out = given;
	*out_len = len;
	return 0;
}

int certauto_key_format(unsigned char **out, size_t *out_len, const certauto_key *key)
{
	certauto__secret *secret = NULL;
	certauto_context *cx;
	int rc;

	if (key == NULL || out == NULL || out_len == NULL)
		return CERTAUTO_EINVAL;
	cx = key->object.cx;
	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if ((rc = certauto__pkey_format(&secret, key->pkey, &cx->error)) == 0)
		rc = give(out, out_len, certauto__secret_data(secret), certauto__secret_len(secret),
			&cx->error);
	certauto__secret_free(secret);
	return certauto__leave(cx, rc);
}

int certauto_key_format_public(unsigned char **out, size_t *out_len, const certauto_key *key)
{
	certauto__buffer der = CERTAUTO__BUFFER(KEY_FILE_MAX);
	certauto_context *cx;
	int rc;

	if (key == NULL || out == NULL || out_len == NULL)
		return CERTAUTO_EINVAL;
	cx = key->object.cx;
	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if ((rc = certauto__pkey_public_der(&der, key->pkey)) == 0)
		rc = give(out, out_len, der.data, der.len, &cx->error);
	certauto__buffer_free(&der);
	return certauto__leave(cx, rc);
}

const char *certauto_key_type(const certauto_key *key)
{
	return key != NULL ? certauto__pkey_type(key->pkey) : NULL;
}

certauto_context *certauto_key_context(const certauto_key *key)
{
	return key != NULL ? key->object.cx : NULL;
}

void certauto_key_free(certauto_key *key)
{
	certauto__object_unref(key);
}
