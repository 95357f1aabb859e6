/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate for one name, issued and deployed through one target. Build and try it:
 *   cc issue.c $(pkg-config --cflags --libs libcertauto) -o issue
 *   ./issue URL ca.pem /var/lib/mine www.example.org files directory /etc/tls webroot /srv/www */
#include <certauto.h>
#include <stdio.h>

static int set_options(certauto_target *target, char **option)
{
	for (; option[0] != NULL && option[1] != NULL; option += 2)
		if (certauto_target_set(target, option[0], option[1]) < 0)
			return CERTAUTO_EINVAL;
	return 0;
}

int main(int argc, char **argv)
{
	certauto_context *cx = NULL;
	certauto_store *store = NULL;
	certauto_account *account = NULL;
	certauto_target *target = NULL;
	certauto_key *key = NULL;
	certauto_csr *csr = NULL;
	certauto_order *order = NULL;
	certauto_chain *chain = NULL;
	int rc = CERTAUTO_EINVAL;

	if (argc < 7)
		fprintf(stderr, "usage: issue SERVER CA-FILE STATE NAME TYPE [OPTION VALUE]...\n");
	else if ((rc = certauto_context_new(&cx)) < 0 ||
	    (rc = certauto_store_new(&store, cx, "files")) < 0 ||
	    (rc = certauto_store_set(store, "directory", argv[3])) < 0 ||
	    (rc = certauto_account_new(&account, cx, argv[1])) < 0 ||
	    (rc = certauto_account_set_ca_file(account, argv[2])) < 0 ||
	    (rc = certauto_account_use_store(account, store)) < 0 || /* keeps its key */
	    (rc = certauto_account_set_agree_tos(account, 1)) < 0 ||
	    (rc = certauto_account_register(account, 60000)) < 0 ||
	    (rc = certauto_target_new(&target, cx, argv[5])) < 0 ||
	    (rc = set_options(target, argv + 6)) < 0 ||
	    (rc = certauto_key_new(&key, cx, "ecdsa-p256")) < 0 ||
	    (rc = certauto_csr_new(&csr, cx, key, (const char *const *)&argv[4], 1)) < 0 ||
	    (rc = certauto_order_new(&order, account, csr)) < 0 ||
	    (rc = certauto_order_use(order, "http-01", target)) < 0 ||
	    (rc = certauto_order_run(order, 300000)) < 0 ||
	    (rc = certauto_order_dup_chain(&chain, order)) < 0 ||
	    (rc = certauto_target_deploy(target, argv[4], chain, key, 120000)) < 0)
		fprintf(stderr, "%s\n", certauto_error_message(certauto_context_error(cx)));
	else
		printf("%s is served, serial %s\n", argv[4], certauto_chain_serial(chain));
	certauto_chain_free(chain);
	certauto_order_free(order);
	certauto_csr_free(csr);
	certauto_key_free(key);
	certauto_target_free(target);
	certauto_account_free(account);
	certauto_store_free(store);
	certauto_context_free(cx); /* in any order; NULL is fine */
	return rc < 0;
}
