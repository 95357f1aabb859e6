/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_UNIT_FLEET_H
#define CERTAUTO_TESTS_UNIT_FLEET_H

/* Certificates that are there already, and a CA nobody reaches: for what a fleet does with both. */

#include "unit_store.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/memory.h"
#include "crypto/crypto.h"
#include "crypto_fixtures.h"

#define DAY 86400

/* A port that refuses: bound, but nobody listens. */
static inline int unit_refusing_port(int *fd)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(*fd >= 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&address, &len), 0);
	return ntohs(address.sin_port);
}

/* A generation for a.example.org as an order would have left it, so many seconds old. key_on: the
 * device that has its key; NULL = it is here, but for a lineage "csr". The request is in the file
 * NAME.csr, too. */
static inline void unit_issue(struct unit_store *u, const char *server, const char *name,
	const char *lineage, const char *key_on, int64_t age_s)
{
	const struct certauto__store_row *row = u->store->row;
	struct certauto__generation made = {0};
	int64_t now = certauto__clock_now() - age_s;
	certauto__certs *chain = NULL;
	certauto__pkey *key = NULL;
	certauto__req *req = NULL;
	char path[128];

	certauto__buffer_init(&made.csr, 65536);
	assert_int_equal(certauto__list_add_text(&made.names, "a.example.org"), 0);
	made.server = certauto__strdup(server);
	assert_int_equal(certauto__pkey_parse(&key, key_p256, strlen(key_p256), NULL), 0);
	assert_int_equal(certauto__req_new(&req, key, &made.names, NULL, NULL), 0);
	assert_int_equal(certauto__certs_self_signed(&chain, key, req, now, now + 90 * DAY, NULL),
		0);
	if (key_on != NULL)
		made.key_on = certauto__strdup(key_on);
	else if (strcmp(lineage, "csr") != 0)
		assert_int_equal(certauto__pkey_format(&made.key, key, NULL), 0);
	assert_int_equal(certauto__req_format(&made.csr, req), 0);
	snprintf(path, sizeof(path), "%s/%s.csr", u->folder, name);
	unit_write(path, certauto__buffer_text(&made.csr), 0600);
	assert_int_equal(row->draft(u->store, name, lineage, &made, NULL), 0);
	assert_int_equal(row->complete(u->store, name, lineage, &made, chain, NULL), 0);
	certauto__generation_free(&made);
	certauto__certs_free(chain);
	certauto__req_free(req);
	certauto__pkey_free(key);
}

#endif
