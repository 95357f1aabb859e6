/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_HOOK_H
#define CERTAUTO_TARGETS_HOOK_H

/* What the files of the hook target share. */

#include "targets/files.h"

enum certauto__hook_verb {
	CERTAUTO__HOOK_ADD,
	CERTAUTO__HOOK_REMOVE,
	CERTAUTO__HOOK_DEPLOY
};

/* What a program is told, and where it is written. All borrowed; NULL where it is not known, or is
 * of another verb. */
struct certauto__hook_call {
	const certauto_target *target;
	enum certauto__hook_verb verb;
	const char *challenge;
	const char *domain;            /* without "*." */
	const char *token;
	const char *value;             /* dns-01: the text of the record; else as the next */
	const char *key_authorization;
	const char *record;            /* without the last dot, CNAMEs followed */
	const char *output;            /* of the program that has added it */
	const char *name;              /* of the certificate */
	const char *key_type;
	const char *folder;            /* with its files */
	const certauto__list *names;   /* in the certificate that is there now */
	certauto__list *argv, *environment;
	int rc;                        /* sticky */
};

struct certauto__hook_style {
	const char *name;
	int caps;                        /* challenges its programs can be told of */
	int tells_record;                /* else the program makes _acme-challenge.DOMAIN itself */
	int deploys_alike;               /* deployments are the affair of the same program */
	int sourced;                     /* it is read by a shell, not run */
	int wants_output;                /* to remove it is told what it said when it added */
	/* Fills argv and environment. */
	void (*tell)(struct certauto__hook_call *call);
};

/* NULL: there is none of that name. The names of all, for messages. */
const struct certauto__hook_style *certauto__hook_style(const char *name);
#define CERTAUTO__HOOK_STYLES "certbot, dehydrated, lego or acme.sh"
const struct certauto__hook_style *certauto__hook_style_of(const certauto_target *target);

/* The program of a verb with the arguments that are always given; n = 0: there is none. */
const certauto__list *certauto__hook_program(const certauto_target *target,
	enum certauto__hook_verb verb);
/* They are there and can be run, and so is the folder: before anything is changed. */
int certauto__hook_ready(const certauto_target *target, certauto_error *err);

/* Value of one entry of the option environment, or NULL: it has none. name_len: of its name. */
const char *certauto__hook_variable(const char *entry, size_t *name_len);

/* Starts the program of verb as a child of job: one at a time of that program, whoever asks. env:
 * certauto_target; to deploy: struct certauto__deployment. JOIN, then certauto__hook_ended(): 0, or
 * its error; *ran_out = 0: it did not even start. */
certauto__verdict certauto__hook_start(certauto_job *job, enum certauto__hook_verb verb, void *env);
int certauto__hook_ended(const certauto_job *job, int *ran_out, certauto_error *err);
/* What it said, of the last one started. */
const char *certauto__hook_output(const certauto_job *job);

/* The end of what a program has said, so that it can be shown: secrets are replaced by "***", keys
 * in PEM whether they are among them or not. */
int certauto__hook_show(certauto__buffer *out, const char *text, size_t len,
	const certauto__list *secrets);

/* The folder of a certificate, below the option folder. */
int certauto__hook_folder(certauto__buffer *out, const struct certauto__deployment *deployment);
extern const char *const certauto__hook_files[CERTAUTO__PEMFILES_ROLES]; /* NULL: not written */

#define CERTAUTO__HOOK_UNDO_MS 600000 /* programs take as long as timeout_ms lets them, in turn */
extern const struct certauto__table certauto__hook_present;
extern const struct certauto__pemfiles_kind certauto__hook_deploy;

#endif
