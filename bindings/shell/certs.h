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

/* Takes it to each --target, as --name or by the first name in it; a result for each. 0 or an exit
 * status where a target was named wrongly, said. */
int certs_deploy(struct shell *shell, struct results *results, certauto_chain *chain,
	certauto_key *key);

#endif
