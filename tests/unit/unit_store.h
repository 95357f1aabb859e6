/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_UNIT_STORE_H
#define CERTAUTO_TESTS_UNIT_STORE_H

/* A files store in a new directory, for tests. */

#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <certauto.h>

#include "store/store.h"

struct unit_store {
	certauto_context *cx;
	certauto_store *store;
	char folder[64];         /* ours, 0700 */
	char state[96];          /* folder/state: not made yet */
	certauto_error err;
};

static inline void unit_store_setup(struct unit_store *u)
{
	memset(u, 0, sizeof(*u));
	snprintf(u->folder, sizeof(u->folder), "/tmp/certauto-unit-XXXXXX");
	assert_non_null(mkdtemp(u->folder));
	snprintf(u->state, sizeof(u->state), "%s/state", u->folder);
	assert_int_equal(certauto_context_new(&u->cx), 0);
	assert_int_equal(certauto__store_make(&u->store, u->cx, "files", &u->err), 0);
	assert_int_equal(u->store->row->set(u->store, "directory", u->state, &u->err), 0);
}

static inline void unit_remove_tree(const char *path)
{
	struct dirent *entry;
	char inner[PATH_MAX];
	DIR *stream;

	(void)chmod(path, 0700);
	if ((stream = opendir(path)) == NULL) {
		(void)unlink(path);
		return;
	}
	while ((entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		if (entry->d_type == DT_DIR)
			unit_remove_tree(inner);
		else
			(void)unlink(inner);
	}
	closedir(stream);
	(void)rmdir(path);
}

static inline void unit_store_teardown(struct unit_store *u)
{
	certauto__error_clear(&u->err);
	certauto_store_free(u->store);
	certauto_context_free(u->cx);
	unit_remove_tree(u->folder);
}

/* A path below the state directory; borrowed until the call after the next. */
static inline const char *unit_state_path(const struct unit_store *u, const char *name)
{
	static char paths[2][PATH_MAX];
	static int turn;

	turn = !turn;
	snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", u->state, name);
	return paths[turn];
}

static inline int unit_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static inline void unit_write(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* How many names below a directory begin so. */
static inline int unit_count(const char *path, const char *prefix)
{
	struct dirent *entry;
	DIR *stream = opendir(path);
	int n = 0;

	assert_non_null(stream);
	while ((entry = readdir(stream)) != NULL)
		n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	closedir(stream);
	return n;
}

/* The error has this code, and its message names what. */
static inline void unit_assert_error(certauto_error *err, int rc, int code, const char *what)
{
	if (rc != code || err->code != code || strstr(certauto_error_message(err), what) == NULL)
		fail_msg("returned %s, error %s \"%s\"; wanted %s naming \"%s\"",
			certauto_error_name(rc), certauto_error_name(err->code),
			err->code != 0 ? certauto_error_message(err) : "",
			certauto_error_name(code), what);
	certauto__error_clear(err);
}

#endif
