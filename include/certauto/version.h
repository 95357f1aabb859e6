/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_VERSION_H
#define CERTAUTO_VERSION_H

/** @file
 *  Version of the headers, version of the library, and the macros every declaration uses. */

#define CERTAUTO_VERSION "0.1.0"
#define CERTAUTO_VERSION_NUMBER 0x000100 /* 0xMMmmpp */

#if defined(__GNUC__)
#define CERTAUTO_API __attribute__((visibility("default")))
#define CERTAUTO_MUST_CHECK __attribute__((warn_unused_result))
#else
#define CERTAUTO_API
#define CERTAUTO_MUST_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Version of the library that is running, such as "0.1.0".
 *  Static text. Any thread.  @since 0.1 */
CERTAUTO_API const char *certauto_version(void);

/** The same as a number, 0xMMmmpp. Any thread.  @since 0.1 */
CERTAUTO_API int certauto_version_number(void);

/** 1 if a feature is built in: "target:haproxy", "store:files", "http2"; else 0.
 *  Any thread.  @since 0.1 */
CERTAUTO_API int certauto_version_has(const char *feature);

#ifdef __cplusplus
}
#endif

#endif
