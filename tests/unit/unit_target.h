/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_UNIT_TARGET_H
#define CERTAUTO_TESTS_UNIT_TARGET_H

/* What the tests of targets share: a folder, a context whose warnings are kept, certificates, and a
 * journal in memory that outlives the context as one on disk would. */

#include "unit.h"

#include <dirent.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <certauto.h>

#include "core/buffer.h"
#include "core/text.h"
#include "jobs/job.h"

#define LAB_RECORDS 4
#define LAB_REFUSED "127.0.0.1:1" /* nobody listens there: a proof that must fail */
#define LAB_PIN "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" /* nobody has that key */

struct lab_record {
	char id[256];
	certauto__buffer data;
};

struct lab {
	char folder[64];
	certauto_context *cx;
	certauto__buffer warnings;
	struct lab_record records[LAB_RECORDS];
};

static inline int lab_event(const certauto_event *event, void *payload)
{
	struct lab *lab = payload;

	if (certauto_event_type(event) == CERTAUTO_EVENT_WARNING)
		certauto__buffer_printf(&lab->warnings, "%s\n", certauto_event_text(event));
	return 0;
}

static inline struct lab_record *lab_record(struct lab *lab, const char *id)
{
	size_t i;

	for (i = 0; i < LAB_RECORDS; i++) {
		if (strcmp(lab->records[i].id, id) == 0)
			return &lab->records[i];
	}
	return NULL;
}

static inline int lab_save(void *arg, const char *id, const void *data, size_t len,
	certauto_error *err)
{
	struct lab_record *record = lab_record(arg, id);

	(void)err;
	if (record == NULL)
		record = lab_record(arg, "");
	assert_non_null(record);
	snprintf(record->id, sizeof(record->id), "%s", id);
	certauto__buffer_free(&record->data);
	certauto__buffer_init(&record->data, 1 << 20);
	return certauto__buffer_add(&record->data, data, len);
}

static inline int lab_load(void *arg, const char *id, certauto__buffer *out, certauto_error *err)
{
	struct lab_record *record = lab_record(arg, id);

	if (record == NULL)
		return certauto__error_set(err, CERTAUTO_ENOTFOUND, id, "no record");
	return certauto__buffer_add(out, record->data.data, record->data.len);
}

static inline int lab_remove(void *arg, const char *id, certauto_error *err)
{
	struct lab_record *record = lab_record(arg, id);

	(void)err;
	if (record != NULL) {
		record->id[0] = '\0';
		certauto__buffer_free(&record->data);
	}
	return 0;
}

static inline size_t lab_n_records(const struct lab *lab)
{
	size_t i, n = 0;

	for (i = 0; i < LAB_RECORDS; i++)
		n += lab->records[i].id[0] != '\0';
	return n;
}

/* A new context, as a next process has it; what the old one was doing stops where it is. */
static inline void lab_restart(struct lab *lab)
{
	const struct certauto__journal journal = {
		.arg = lab, .save = lab_save, .load = lab_load, .remove = lab_remove};

	certauto_context_free(lab->cx);
	certauto__buffer_clear(&lab->warnings);
	assert_int_equal(certauto_context_new(&lab->cx), 0);
	assert_int_equal(certauto_context_set_event_cb(lab->cx, lab_event, lab, NULL), 0);
	assert_int_equal(certauto__journal_use(lab->cx, &journal), 0);
}

static inline struct lab *lab_new(void)
{
	struct lab *lab = calloc(1, sizeof(*lab));

	assert_non_null(lab);
	strcpy(lab->folder, "/tmp/certauto-unit-XXXXXX");
	assert_non_null(mkdtemp(lab->folder));
	certauto__buffer_init(&lab->warnings, 1 << 16);
	lab_restart(lab);
	return lab;
}

/* Files and folders below, one level of folders deep at most. */
static inline void lab_empty(const char *folder)
{
	char path[1024];
	struct dirent *entry;
	DIR *dir = opendir(folder);

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%.512s/%s", folder, entry->d_name);
		if (unlink(path) < 0) {
			lab_empty(path);
			rmdir(path);
		}
	}
	closedir(dir);
}

static inline void lab_free(struct lab *lab)
{
	size_t i;

	certauto_context_free(lab->cx);
	lab_empty(lab->folder);
	rmdir(lab->folder);
	for (i = 0; i < LAB_RECORDS; i++)
		certauto__buffer_free(&lab->records[i].data);
	certauto__buffer_free(&lab->warnings);
	free(lab);
}

/* ---- certificates ---- */

struct lab_pair {
	certauto_key *key;
	certauto_chain *chain;
};

static inline void lab_pair_make(struct lab *lab, struct lab_pair *out, const char *name, int days)
{
	certauto_csr *csr = NULL;

	assert_int_equal(certauto_key_new(&out->key, lab->cx, "ecdsa-p256"), 0);
	assert_int_equal(certauto_csr_new(&csr, lab->cx, out->key, &name, 1), 0);
	assert_int_equal(certauto_chain_new_self_signed(&out->chain, out->key, csr,
				 (int64_t)time(NULL) + days * 86400),
		0);
	certauto_csr_free(csr);
}

static inline void lab_pair_free(struct lab_pair *pair)
{
	certauto_chain_free(pair->chain);
	certauto_key_free(pair->key);
}

/* As text, which outlives its context. */
struct lab_kept {
	unsigned char *chain, *key;
	size_t chain_len, key_len;
};

static inline void lab_keep(struct lab_kept *out, const struct lab_pair *pair)
{
	assert_int_equal(certauto_chain_format(&out->chain, &out->chain_len, pair->chain,
				 CERTAUTO_CHAIN_FULL),
		0);
	assert_int_equal(certauto_key_format(&out->key, &out->key_len, pair->key), 0);
}

static inline void lab_pair_again(struct lab *lab, struct lab_pair *out, struct lab_kept *kept)
{
	assert_int_equal(certauto_chain_parse(&out->chain, lab->cx, kept->chain, kept->chain_len),
		0);
	assert_int_equal(certauto_key_parse(&out->key, lab->cx, kept->key, kept->key_len), 0);
	certauto_mem_free(kept->chain);
	certauto_mem_free(kept->key);
}

/* Certificate and key as PEM, between: what is put between the blocks. */
static inline void lab_pair_pem(certauto__buffer *out, const struct lab_pair *pair,
	const char *between)
{
	unsigned char *data = NULL;
	size_t len;

	assert_int_equal(certauto_chain_format(&data, &len, pair->chain, CERTAUTO_CHAIN_FULL), 0);
	certauto__buffer_add(out, data, len);
	certauto_mem_free(data);
	certauto__buffer_text_add(out, between);
	assert_int_equal(certauto_key_format(&data, &len, pair->key), 0);
	certauto__buffer_add(out, data, len);
	certauto_mem_free(data);
}

/* ---- files ---- */

static inline void lab_write(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fputs(text, file) >= 0, 1);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* 1 if the file holds that text. */
static inline int lab_holds(const char *path, const char *text)
{
	static char data[65536];
	FILE *file = fopen(path, "r");
	size_t n;

	if (file == NULL)
		return 0;
	n = fread(data, 1, sizeof(data) - 1, file);
	fclose(file);
	data[n] = '\0';
	return strcmp(data, text) == 0;
}

static inline unsigned lab_mode(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (unsigned)(st.st_mode & 07777);
}

/* How many names are in a folder. */
static inline int lab_count(const char *folder)
{
	struct dirent *entry;
	DIR *dir = opendir(folder);
	int n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return n;
}

/* ---- targets ---- */

static inline void lab_set(certauto_target *target, const char *name, const char *value)
{
	if (certauto_target_set(target, name, value) < 0)
		fail_msg("%s",
			certauto_error_message(
				certauto_context_error(certauto_target_context(target))));
}

static inline const char *lab_message(const struct lab *lab)
{
	const certauto_error *error = certauto_context_error(lab->cx);

	return error != NULL ? certauto_error_message(error) : "(no error)";
}

/* No warning but that these targets are not verified: they are told of each time. */
static inline void lab_warns_of_nothing_else(const struct lab *lab)
{
	const char *at = certauto__buffer_text(&lab->warnings);

	for (; *at != '\0'; at += strcspn(at, "\n"), at += *at == '\n')
		if (strncmp(at + strcspn(at, ":"), ": insecure: ", 12) != 0)
			fail_msg("warned: %s", at);
}

static inline void lab_says(const struct lab *lab, const char *words)
{
	if (strstr(lab_message(lab), words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, lab_message(lab));
}

#endif
