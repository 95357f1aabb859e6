/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ACME_ORDER_H
#define CERTAUTO_ACME_ORDER_H

/* What the order's table and that of its authorizations share. */

#include "acme/peer.h"

/* One authorization: looked at, answered, waited for. env: certauto_order. Its key is
 * the authorization's URL: which name it is for is not known before. */
extern const struct certauto__table certauto__authz_table;

/* Who answers for name; NULL = nobody. */
const struct certauto__order_use *certauto__order_use_of(const certauto_order *order,
	const char *name);
/* What can be known to fail before anything is sent: a name nobody answers for, http-01 for a
 * wildcard, the account's key in the certificate. CERTAUTO_EINVAL. */
int certauto__order_check(const certauto_order *order, certauto_error *err);

#endif
