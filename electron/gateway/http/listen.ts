/** Taking an address: on loopback for the gateway itself, with TLS for machines that a person lets in. */
import { X509Certificate } from 'node:crypto';
import type { Server } from 'node:http';
import { isIPv6 } from 'node:net';
import { LOOPBACK } from '#shared/defaults.ts';
import { createGatewayServer, type ServerDependencies } from './server.ts';

/** The listener could not start. `code` is the system's, such as EADDRINUSE; the message says what to do. */
export class ListenError extends Error {
  readonly code: string;
  readonly port: number;
  constructor(code: string, port: number, message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'ListenError';
    this.code = code;
    this.port = port;
  }
}

/** @throws ListenError where the certificate or its key cannot be used. */
export function createExposedServer(
  serving: ServerDependencies,
  { address, cert, key }: { address: string; cert: string; key: string },
): Server {
  try {
    const names = new X509Certificate(cert).subjectAltName ?? '';
    const listed = [...names.matchAll(/(?:DNS|IP Address):([^,\s]+)/g)].map(([, name = '']) =>
      name.toLowerCase(),
    );
    const hosts = [address, ...listed].map(asHost);
    return createGatewayServer(serving, { cert, key, hosts: new Set(hosts) });
  } catch (cause) {
    const message =
      'The TLS certificate and its key cannot be used: give both as PEM, the key belonging to the certificate.';
    throw new ListenError('ERR_TLS', 0, message, cause);
  }
}

/** Resolves with the port, which `port` 0 leaves to the system. @throws ListenError */
export function startListening(server: Server, port: number, address: string = LOOPBACK): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => {
      const code = error.code ?? 'UNKNOWN';
      const mend =
        code === 'EADDRINUSE'
          ? `Port ${port} is used by another program. End it, or choose another port.`
          : code === 'EADDRNOTAVAIL'
            ? `This machine has no address ${address}. Give one of its own, or 0.0.0.0 for all of them.`
            : code === 'EACCES'
              ? `Port ${port} needs rights this user does not have. Choose a port above 1023.`
              : `Faregate cannot listen on port ${port} (${code}). Choose another port.`;
      reject(new ListenError(code, port, mend, error));
    };
    server.once('error', fail);
    // Loopback unless a person said otherwise: the gateway spends money for whoever can reach it.
    server.listen(port, address, () => {
      server.off('error', fail);
      const at = server.address();
      resolve(typeof at === 'object' && at !== null ? at.port : port);
    });
  });
}

/** An address or a name as it stands in a URL. */
export const asHost = (name: string) => (isIPv6(name) ? `[${name}]` : name);
