/* SPDX-License-Identifier: Apache-2.0 */
/* What objects and files on the device are called. The name is all the marker an object there can
 * carry: it tells whose it is, and, as the content's digest is in it, that what is found under it
 * is what was meant. */

#include "targets/netscaler.h"

#include <stdio.h>
#include <string.h>

#include "crypto/crypto.h"
#include "targets/device.h"

#define DIGEST_FILE 12  /* hex digits in the name of a file */
#define DIGEST_SHORT 8  /* and in that of an object */
#define EXTENSION 3
#define HEX "0123456789abcdef"

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
static void ca_stem(char out[CERTAUTO__NS_NAME], const certauto_target *target, int *digits)
{
	int max = (int)certauto__option_number(target, "name_max"), rest;

	*digits = max < 2 * DIGEST_SHORT + 10 ? DIGEST_SHORT - 2 : DIGEST_SHORT;
	rest = (int)strlen("-ca-") + 2 * *digits + 1;
	/* The file is called the same, with an extension. */
	if (max > CERTAUTO__NS_FILE - 2 - EXTENSION)
		max = CERTAUTO__NS_FILE - 2 - EXTENSION;
	snprintf(out, CERTAUTO__NS_NAME, "%.*s-ca-", max - rest,
		certauto__option_text(target, "prefix"));
}

int certauto__netscaler_ca(char out[CERTAUTO__NS_NAME], const certauto_target *target,
	const struct certauto__cert_info *ca)
{
	char stem[CERTAUTO__NS_NAME];
	int digits;

	ca_stem(stem, target, &digits);
	certauto__device_ca(out, CERTAUTO__NS_NAME, stem, digits, ca);
	return 0;
}

int certauto__netscaler_is_own_ca(const char *name, const certauto_target *target)
{
	char stem[CERTAUTO__NS_NAME];
	int digits;

	ca_stem(stem, target, &digits);
	return certauto__device_is_own_ca(name, stem, digits);
}

/* ---- answers to challenges ---- */

void certauto__netscaler_answer(char out[CERTAUTO__NS_NAME], const certauto_target *target,
	const char *name, const char *token, int64_t now)
{
	certauto__device_answer(out, CERTAUTO__NS_NAME, target, name, token, now);
}

int64_t certauto__netscaler_answer_time(const char *object, const certauto_target *target)
{
	return certauto__device_answer_time(object, target);
}
