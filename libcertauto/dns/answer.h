/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_DNS_ANSWER_H
#define CERTAUTO_DNS_ANSWER_H

#include "dns/ares.h"
#include "dns/dns.h"

/* Fills the answer to a question of that type from what c-ares gives for it; data may be NULL. */
void certauto__dns_answer_take(struct certauto__dns_answer *answer,
	const struct certauto__ares *ares, enum certauto__dns_type type, int status,
	const unsigned char *data, int len);

#endif
