/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_FOLDER_H
#define CERTAUTO_TARGETS_FOLDER_H

/* Files on this machine that a server reads: relative to a folder that was checked, never
 * through a link, replaced by rename only. Errors name the whole path; CERTAUTO_ENOTFOUND: it is
 * not there. */

#include <sys/stat.h>
#include <sys/types.h>

#include "core/buffer.h"
#include "core/error.h"

#define CERTAUTO__FILE_MAX (1024 * 1024)

struct certauto__folder {
	int fd;        /* -1: not open */
	char *path;    /* for messages */
};

#define CERTAUTO__FOLDER \
	{ \
		-1, NULL \
	}

/* Who may read a file: owner and group -1 = those of this process. */
struct certauto__access {
	mode_t mode;
	uid_t owner;
	gid_t group;
};

#define CERTAUTO__NOBODY ((uid_t)-1)
#define CERTAUTO__NO_GROUP ((gid_t)-1)

int certauto__folder_open(struct certauto__folder *out, const char *path, certauto_error *err);
/* A folder in folder, made with mode if make is set and it is not there. */
int certauto__folder_open_in(struct certauto__folder *out, const struct certauto__folder *folder,
	const char *name, int make, mode_t mode, certauto_error *err);
void certauto__folder_close(struct certauto__folder *folder); /* and may be used again */
/* Keys may be put here: it belongs to us or root, others cannot write, and we can. */
int certauto__folder_check_private(const struct certauto__folder *folder, certauto_error *err);

/* Whole file into out; st may be NULL. EPERM for a link or anything else that is no plain file. */
int certauto__folder_read(const struct certauto__folder *folder, const char *name,
	certauto__buffer *out, struct stat *st, certauto_error *err);
/* New file with these bytes, durable with the folder's next sync; what was there under the name
 * goes. */
int certauto__folder_write(const struct certauto__folder *folder, const char *name,
	const void *data, size_t len, const struct certauto__access *access, certauto_error *err);
int certauto__folder_rename(const struct certauto__folder *folder, const char *from, const char *to,
	certauto_error *err);
int certauto__folder_link(const struct certauto__folder *folder, const char *from, const char *to,
	certauto_error *err);
int certauto__folder_remove(const struct certauto__folder *folder, const char *name,
	certauto_error *err); /* absence is success */
int certauto__folder_has(const struct certauto__folder *folder, const char *name);
int certauto__folder_sync(const struct certauto__folder *folder, certauto_error *err);

/* "0640" to 0640; text may be NULL. 0 or CERTAUTO_EINVAL. */
int certauto__mode_parse(const char *text, mode_t *out);

/* A file with a private key: others get nothing of it. */
#define CERTAUTO__OTHERS 07

#endif
