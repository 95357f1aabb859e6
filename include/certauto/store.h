/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_STORE_H
#define CERTAUTO_STORE_H

#include <certauto/chain.h>

/** @file
 *  Where accounts, certificates and journals are kept. */

#ifdef __cplusplus
extern "C" {
#endif

/** New store of a type ("files"), to be configured by certauto_store_set(); *out belongs to the
 *  caller (certauto_store_free()). No I/O.  @return 0, CERTAUTO_ENOTFOUND (no such type).
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_store_new(certauto_store **out, certauto_context *cx,
	const char *type);

/** Sets an option: "directory" of files. Copied.  @return 0, CERTAUTO_EINVAL (names the option).
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_store_set(certauto_store *store, const char *name,
	const char *value);

/** The current certificate of a lineage, and its key (NULL where the key is kept elsewhere); the
 *  caller owns both. key_type as in the config. May block on the disk or network.
 *  @return 0, CERTAUTO_ENOTFOUND, CERTAUTO_EIO, CERTAUTO_EBUSY.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_store_load(certauto_key **key_out,
	certauto_chain **chain_out, certauto_store *store, const char *name, const char *key_type,
	int timeout_ms);

/** The context; borrowed.  @since 0.1 */
CERTAUTO_API certauto_context *certauto_store_context(const certauto_store *store);

/** Drops the caller's reference. NULL is fine. Any thread.  @since 0.1 */
CERTAUTO_API void certauto_store_free(certauto_store *store);

#ifdef __cplusplus
}
#endif

#endif
