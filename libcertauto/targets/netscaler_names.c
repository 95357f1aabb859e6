/* SPDX-License-Identifier: Apache-2.0 */
/* What objects and files on the device are called. The name is all the marker an object there can
 * carry: it tells whose it is, and, as the content's digest is in it, that what is found under it
 * is what was meant. */

#include "targets/netscaler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"

#define DIGEST_FILE 12  /* hex digits in the name of a file */
#define DIGEST_SHORT 8  /* and in that of an object */
#define ANSWER_NAME 40  /* bytes of the DNS name in that of a challenge: for people */
#define ANSWER_PREFIX 32
#define EXTENSION 3
#define HEX "0123456789abcdef"

static int is_hex(const char *text, size_t len)
{
	return strspn(text, HEX) >= len;
}

/* The text, or, where it is longer than room, its beginning and a digest of the whole: texts that
 * begin alike stay apart. */
static void fit(char *out, size_t size, const char *text, size_t room)
{
	size_t len = strlen(text);
	char digest[65];

	if (room >= size)
		room = size - 1;
	if (len <= room) {
		memcpy(out, text, len + 1);
		return;
	}
	if (certauto__sha256_hex(digest, text, len) < 0)
		digest[0] = '\0';
	len = room > DIGEST_SHORT + 1 ? room - DIGEST_SHORT - 1 : 0;
	snprintf(out, size, "%.*s-%.*s", (int)len, text, DIGEST_SHORT, digest);
}

const certauto_target *certauto__netscaler_target(const certauto_job *job)
{
	const struct certauto__table *table = certauto__job_table(job);
	const void *env = certauto__job_env(job);

	if (table == &certauto__netscaler_deploy)
		return ((const struct certauto__deployment *)env)->target;
	if (table == &certauto__netscaler_finish)
		return ((const struct certauto__finish *)env)->target;
	return env;
}

void certauto__netscaler_folder(char out[CERTAUTO__NS_FOLDER], const certauto_target *target)
{
	const char *folder = certauto__option_text(target, "folder");
	const char *partition = certauto__option_text(target, "partition");

	if (certauto__option_is_set(target, "folder"))
		snprintf(out, CERTAUTO__NS_FOLDER, "%s%s", folder,
			folder[0] != '\0' && folder[strlen(folder) - 1] == '/' ? "" : "/");
	else if (partition != NULL)
		snprintf(out, CERTAUTO__NS_FOLDER, "/nsconfig/partitions/%s/ssl/", partition);
	else
		snprintf(out, CERTAUTO__NS_FOLDER, "/nsconfig/ssl/");
}

void certauto__netscaler_certkey(char out[CERTAUTO__NS_NAME],
	const struct certauto__deployment *deployment)
{
	const certauto_target *target = deployment->target;
	const char *own = certauto__option_text(target, "certkey");
	char whole[512];

	if (own != NULL) {
		snprintf(out, CERTAUTO__NS_NAME, "%s", own);
		return;
	}
	snprintf(whole, sizeof(whole), "%s-%s-%s", certauto__option_text(target, "prefix"),
		deployment->name, deployment->key_type);
	fit(out, CERTAUTO__NS_NAME, whole, (size_t)certauto__option_number(target, "name_max"));
}

/* ---- files ---- */

/* What is in front of the digest. */
static void file_stem(char out[CERTAUTO__NS_FILE], const char *certkey)
{
	fit(out, CERTAUTO__NS_FILE, certkey,
		CERTAUTO__NS_FILE - 1 - DIGEST_FILE - EXTENSION - 2);
}

void certauto__netscaler_file(char out[CERTAUTO__NS_FILE], const char *certkey, const char *digest,
	const char *ext)
{
	char stem[CERTAUTO__NS_FILE];

	file_stem(stem, certkey);
	snprintf(out, CERTAUTO__NS_FILE, "%.*s-%.*s.%.*s",
		CERTAUTO__NS_FILE - 1 - DIGEST_FILE - EXTENSION - 2, stem, DIGEST_FILE, digest,
		EXTENSION, ext);
}

int certauto__netscaler_is_own_file(const char *file, const char *certkey)
{
	static const char *const exts[] = {".crt", ".key", ".csr"};
	char stem[CERTAUTO__NS_FILE];
	size_t i, len;

	file_stem(stem, certkey);
	len = strlen(stem);
	if (!certauto__text_starts(file, stem) || file[len] != '-' ||
		strspn(file + len + 1, HEX) != DIGEST_FILE)
		return 0;
	for (i = 0; i < sizeof(exts) / sizeof(exts[0]); i++) {
		if (strcmp(file + len + 1 + DIGEST_FILE, exts[i]) == 0)
			return 1;
	}
	return 0;
}

/* ---- CA objects ---- */

/* "prefix-ca-", short enough for both digests behind it; *digits: of each. Where names must be very
 * short both are. */
static size_t ca_stem(char out[CERTAUTO__NS_NAME], const certauto_target *target, int *digits)
{
	int max = (int)certauto__option_number(target, "name_max"), rest;

	*digits = max < 2 * DIGEST_SHORT + 10 ? DIGEST_SHORT - 2 : DIGEST_SHORT;
	rest = (int)strlen("-ca-") + 2 * *digits + 1;
	/* The file is called the same, with an extension. */
	if (max > CERTAUTO__NS_FILE - 2 - EXTENSION)
		max = CERTAUTO__NS_FILE - 2 - EXTENSION;
	snprintf(out, CERTAUTO__NS_NAME, "%.*s-ca-", max - rest,
		certauto__option_text(target, "prefix"));
	return strlen(out);
}

int certauto__netscaler_ca(char out[CERTAUTO__NS_NAME], const certauto_target *target,
	const struct certauto__cert_info *ca)
{
	int digits, len = (int)ca_stem(out, target, &digits);
	const char *id = ca->ski;

	/* A CA without a key identifier (RFC 5280 demands one) is told by its own digest alone. */
	if (id == NULL || !is_hex(id, DIGEST_SHORT))
		id = ca->fingerprint + DIGEST_SHORT;
	(void)snprintf(out + len, (size_t)(CERTAUTO__NS_NAME - len), "%.*s-%.*s", digits, id,
		digits, ca->fingerprint);
	return 0;
}

int certauto__netscaler_is_own_ca(const char *name, const certauto_target *target)
{
	char stem[CERTAUTO__NS_NAME];
	int digits, len = (int)ca_stem(stem, target, &digits);
	size_t n = (size_t)digits;

	if (!certauto__text_starts(name, stem))
		return 0;
	name += len;
	return strspn(name, HEX) == n && name[n] == '-' && strspn(name + n + 1, HEX) == n &&
		name[2 * n + 1] == '\0';
}

/* ---- answers to challenges ---- */

static size_t answer_stem(char out[CERTAUTO__NS_NAME], const certauto_target *target)
{
	snprintf(out, CERTAUTO__NS_NAME, "%.*s-acme-", ANSWER_PREFIX,
		certauto__option_text(target, "prefix"));
	return strlen(out);
}

void certauto__netscaler_answer(char out[CERTAUTO__NS_NAME], const certauto_target *target,
	const char *name, const char *token, int64_t now)
{
	size_t len = answer_stem(out, target);
	char both[1024], digest[65] = "";

	snprintf(both, sizeof(both), "%s %s", name, token);
	certauto__sha256_hex(digest, both, strlen(both));
	snprintf(out + len, CERTAUTO__NS_NAME - len, "%08llx-%.16s-%.*s", (long long)now, digest,
		ANSWER_NAME, name);
}

int64_t certauto__netscaler_answer_time(const char *object, const certauto_target *target)
{
	char stem[CERTAUTO__NS_NAME];
	size_t len = answer_stem(stem, target), n;

	if (!certauto__text_starts(object, stem))
		return 0;
	object += len;
	n = strspn(object, HEX);
	if (n < 8 || n > 15 || object[n] != '-' || strspn(object + n + 1, HEX) < 16)
		return 0;
	return (int64_t)strtoll(object, NULL, 16);
}
