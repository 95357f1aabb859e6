/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_STORE_FILES_IO_H
#define CERTAUTO_STORE_FILES_IO_H

/* Files and directories of ours, opened so that nobody else can put something in their place:
 * relative to a directory that was checked, never through a link, and looked at after the opening.
 * Errors name the whole path. CERTAUTO_ENOTFOUND means that the name is not there, and nothing else
 * does. */

#include <stddef.h>
#include <sys/types.h>

#include "core/buffer.h"
#include "core/error.h"
#include "core/secret.h"
#include "core/text.h"

#define CERTAUTO__TEMPORARY ".certauto-tmp-" /* how the names of our temporaries begin */

struct certauto__dir {
	int fd;        /* -1: not open */
	char *path;    /* for messages */
};

#define CERTAUTO__DIR { -1, NULL }

/* From errno: ENOTFOUND only for ENOENT; a link or a file where a directory should be is EPERM.
 * doing: "cannot open". name may be NULL: the directory itself. */
int certauto__files_errno(certauto_error *err, int saved_errno, const char *doing,
	const struct certauto__dir *dir, const char *name);

/* The directory at an absolute path and every one above it must belong to us or root and be closed
 * to the writing of others (a sticky one may be open). make: what is missing is made. */
int certauto__dir_open_root(struct certauto__dir *out, const char *path, int make,
	certauto_error *err);
/* A directory in dir. make: made (0700, durable) if it is not there. */
int certauto__dir_open(struct certauto__dir *out, const struct certauto__dir *dir, const char *name,
	int make, certauto_error *err);
void certauto__dir_close(struct certauto__dir *dir); /* and may be used again */
int certauto__dir_sync(const struct certauto__dir *dir, certauto_error *err);
/* Names in dir without "." and "..". */
int certauto__dir_list(const struct certauto__dir *dir, certauto__list *out, certauto_error *err);

/* Whole file into out, whose max is the limit. */
int certauto__file_read(const struct certauto__dir *dir, const char *name, certauto__buffer *out,
	certauto_error *err);
/* The same for a secret: group and others may have no right at all. */
int certauto__file_read_secret(const struct certauto__dir *dir, const char *name,
	certauto__secret **out, certauto_error *err);
/* The file becomes data, whole or not at all; durable once the directory is synced. */
int certauto__file_write(const struct certauto__dir *dir, const char *name, const void *data,
	size_t len, certauto_error *err);
/* The same, and the directory is synced. */
int certauto__file_replace(const struct certauto__dir *dir, const char *name, const void *data,
	size_t len, certauto_error *err);
/* The same, but CERTAUTO_EBUSY if the file is there already. */
int certauto__file_create(const struct certauto__dir *dir, const char *name, const void *data,
	size_t len, certauto_error *err);
int certauto__file_exists(const struct certauto__dir *dir, const char *name, int *out,
	certauto_error *err);
/* ENOTFOUND */
int certauto__file_remove(const struct certauto__dir *dir, const char *name, certauto_error *err);
/* A symbolic link in dir, replaced by rename; durable. */
int certauto__file_link(const struct certauto__dir *dir, const char *name, const char *value,
	certauto_error *err);
/* Directory name in dir and the files in it. Absence is success. */
int certauto__dir_remove(const struct certauto__dir *dir, const char *name, certauto_error *err);
/* Removes the temporaries of ours in dir, and in what is up to so many levels below it, that nobody
 * can be writing any more, as they are over an hour old. */
void certauto__dir_sweep(const struct certauto__dir *dir, int levels);

/* Random name of a temporary; size at least 32. */
int certauto__temporary_name(char *out, size_t size, certauto_error *err);

#endif
