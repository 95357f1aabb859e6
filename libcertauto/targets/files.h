/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_FILES_H
#define CERTAUTO_TARGETS_FILES_H

/* What the files of the files target share. */

#include "jobs/target.h"
#include "targets/folder.h"

/* The files a certificate is written to. The private parts come first: a server that looks
 * between two renames finds a new key with an old certificate, and tries again, rather than the
 * reverse. */
enum certauto__pemfiles_role {
	CERTAUTO__PEMFILES_KEY,
	CERTAUTO__PEMFILES_CERT,
	CERTAUTO__PEMFILES_CHAIN,
	CERTAUTO__PEMFILES_FULLCHAIN,
	CERTAUTO__PEMFILES_COMBINED,
	CERTAUTO__PEMFILES_ROLES
};

extern const struct certauto__table certauto__pemfiles_present;

/* A deployment by the steps of files_deploy.c, and where the targets that share them differ. A job
 * finds it by its table, which is its first member. */
struct certauto__pemfiles_kind {
	struct certauto__table table;
	const char *option;       /* that names the folder, for people */
	/* Before anything is changed; NULL: there is nothing to look at. */
	int (*ready)(const struct certauto__deployment *deployment, certauto_error *err);
	/* The folder, checked to be one that keys may be put into. If it is not there and make is
	 * not set, out may stay closed. */
	int (*open)(struct certauto__folder *out, const struct certauto__deployment *deployment,
		int make, certauto_error *err);
	/* As certauto__pemfiles_name() and certauto__pemfiles_access(). */
	int (*name)(certauto__buffer *out, const struct certauto__deployment *deployment,
		enum certauto__pemfiles_role role, certauto_error *err);
	int (*access)(struct certauto__access *out, const certauto_target *target,
		enum certauto__pemfiles_role role, certauto_error *err);
	/* Tells the server of the files that are there now; NEXT: there is no need. reloaded takes
	 * what came of it: "reload" is due before, and stays so if the server may have read
	 * them. */
	certauto__step_fn reload, reloaded;
	/* All is as it was before: a folder that was made for it goes. NULL = none is. */
	void (*left)(const struct certauto__deployment *deployment);
};

extern const struct certauto__pemfiles_kind certauto__pemfiles_deploy;
#define CERTAUTO__PEMFILES_STEPS 7
extern const struct certauto__step certauto__pemfiles_steps[CERTAUTO__PEMFILES_STEPS];

/* "key", "cert" ...: names of facts and, with _file behind, of options. */
const char *certauto__pemfiles_role_name(enum certauto__pemfiles_role role);
/* Name of the file of a role by the option's pattern; empty when it is not to be written.
 * EINVAL. */
int certauto__pemfiles_name(certauto__buffer *out, const struct certauto__deployment *deployment,
	enum certauto__pemfiles_role role, certauto_error *err);
/* What goes into it; out becomes secret where there is a key in it. */
int certauto__pemfiles_content(certauto__buffer *out, const struct certauto__deployment *deployment,
	enum certauto__pemfiles_role role, certauto_error *err);
/* Mode and group of it. EINVAL: no such group. */
int certauto__pemfiles_access(struct certauto__access *out, const certauto_target *target,
	enum certauto__pemfiles_role role, certauto_error *err);
/* Says of an error that it is about what an option of target names; returns its code. */
int certauto__pemfiles_told(const certauto_target *target, const char *option, certauto_error *err);
/* The folder an option names, checked to be one that keys may be put into. */
int certauto__pemfiles_open(struct certauto__folder *out, const certauto_target *target,
	const char *option, certauto_error *err);

#endif
