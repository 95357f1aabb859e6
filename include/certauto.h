/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_H
#define CERTAUTO_H

/** @file
 *  libcertauto: a load balancer always serves a valid certificate. */

#include <certauto/version.h>
#include <certauto/error.h>
#include <certauto/context.h>
#include <certauto/job.h>
#include <certauto/key.h>
#include <certauto/csr.h>
#include <certauto/chain.h>
#include <certauto/store.h>
#include <certauto/account.h>
#include <certauto/target.h>
#include <certauto/order.h>
#include <certauto/fleet.h>

#endif
