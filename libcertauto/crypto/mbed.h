/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CRYPTO_MBED_H
#define CERTAUTO_CRYPTO_MBED_H

/* What the files of this folder share about mbedTLS: errors, random numbers, verification. */

#include "core/buffer.h"
#include "core/error.h"
#include "crypto/mbed_compat.h"

/* Turns an mbedTLS error into ours: short of memory is ENOMEM, no entropy EIO, all else `code` with
 * "what: mbedTLS's words". */
int certauto__mbed_error(certauto_error *err, int ret, int code, const char *what);

/* The f_rng of every mbedTLS call of ours: getrandom(2), which keeps no state of ours to go wrong
 * in a forked child. */
int certauto__mbed_random(void *arg, unsigned char *out, size_t len);

/* 0 when the signature is pk's, else mbedTLS's error. */
int certauto__mbed_verify(const mbedtls_pk_context *pk, const struct certauto__mbed_signed *what);

/* Appends the SubjectPublicKeyInfo in the one encoding mbedTLS writes, so that equal keys have
 * equal bytes no matter how a certificate had encoded them. */
int certauto__mbed_spki(certauto__buffer *out, const mbedtls_pk_context *pk);

#endif
