/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_CERTS_H
#define CERTAUTO_SHELL_CERTS_H

/* Certificates that are not those of a configuration: looked at, and deployed. */

#include "json.h"
#include "results.h"
#include "shell.h"

/* What is in them, certauto_chain_dup_details() read; the caller owns it. NULL: there was no
 * memory, which was said. */
struct json *certs_details(const struct shell *shell, const certauto_chain *chain);
/* The same in lines for people. */
void certs_describe(struct text *out, const struct json *details);

/* Where certificates are taken to. */
struct delivery {
	struct text name;          /* what it is called there */
	certauto_target **targets; /* one for each --target */
	size_t n_targets;
};

/* Makes the targets, and looks whether they and the name will do: --name, or the first name in it.
 * Nothing is begun yet. 0 or an exit status, said; freed by the caller either way. */
int delivery_open(struct delivery *out, struct shell *shell, const certauto_chain *chain);
/* Takes it there; a result for each target. */
void delivery_run(struct delivery *delivery, struct shell *shell, struct results *results,
	certauto_chain *chain, certauto_key *key);
void delivery_free(struct delivery *delivery);

#endif
