/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_NETSCALER_PRESENT_H
#define CERTAUTO_TARGETS_NETSCALER_PRESENT_H

/* What the two ways to answer http-01 on a NetScaler share: a policy for each challenge
 * (netscaler_present.c), and one for good that answers all of an account (netscaler_stateless.c).
 *
 * Facts: "object", the name of action and policy; "kind" and "vserver", where it is bound;
 * "responderaction", "responderpolicy", "binding" are "none" when the device has definitely not
 * taken them. Volatile: ".answered" when there is nothing to do, ".bound" when the policy is,
 * ".priority" for it, ".action" and ".policy" when they are there. */

#include "targets/netscaler.h"

#define CERTAUTO__NETSCALER_CHALLENGES "/.well-known/acme-challenge/"

/* The headers of the answer, up to where its length would come: inside of a literal of the device's
 * policy language, so that line ends are escapes of that language. */
#define CERTAUTO__NETSCALER_HEAD "HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\n"

/* Token and key authorization of the challenge; a plan may have neither, and shows something. */
const char *certauto__netscaler_token(const certauto_job *job);
const char *certauto__netscaler_value(const certauto_job *job);

int certauto__netscaler_stateless(const certauto_job *job);
/* 1 if an object is named as one that answers for good, of whatever account. */
int certauto__netscaler_stateless_is(const char *object, const certauto_target *target);
void certauto__netscaler_stateless_name(char out[CERTAUTO__NS_NAME], const certauto_job *job);
void certauto__netscaler_stateless_rule(certauto__buffer *out);
void certauto__netscaler_stateless_answer(certauto__buffer *out, const certauto_job *job);
/* Fails the job: that object answers for another account. */
certauto__verdict certauto__netscaler_stateless_other(certauto_job *job, const char *object);
/* Before anything else, from certauto__challenge_check_ask(): is the challenge answered already? */
certauto__verdict certauto__netscaler_stateless_read(certauto_job *job, certauto__exchange *x);
/* What is there for good is saved at once. */
certauto__verdict certauto__netscaler_stateless_save(certauto_job *job, certauto__exchange *x);

#endif
