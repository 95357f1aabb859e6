/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CRYPTO_VERIFIER_H
#define CERTAUTO_CRYPTO_VERIFIER_H

/* What is kept between the checks of chains from one CA; see crypto.h for who has one. */

#include "crypto/cert.h"

/* certauto__mbed_verify(), faster from the second certificate of the same issuer on. verifier may
 * be NULL. */
int certauto__verifier_check(struct certauto__verifier *verifier,
	const struct certauto__cert *issuer, const struct certauto__mbed_signed *what);
/* 1 if the very certificates above the leaf of certs were the last to be learned. */
int certauto__verifier_knows(const struct certauto__verifier *verifier,
	const struct certauto__certs *certs);
void certauto__verifier_learn(struct certauto__verifier *verifier,
	const struct certauto__certs *certs);

#endif
