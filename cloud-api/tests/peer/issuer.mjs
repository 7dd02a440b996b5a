// An OpenID Provider that is not ours (npm oidc-provider), over HTTPS, for the tests of trusted issuers: access tokens as JWTs
// (RFC 9068) for the client `back-end`, bound to the client certificate of the connection, or to none with `plain`.
//
// The first argument is a folder with server.pem and server.key, the second where its packages are. It prints its issuer's URL. A line `rotate` on standard
// input gives it another key; `asked` has it say how often its keys have been asked for since the last such line.
import { createServer } from 'node:https'
import { createInterface } from 'node:readline'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [folder, packages] = process.argv.slice(2)
const { default: Provider } = await import(pathToFileURL(`${packages}/node_modules/oidc-provider/lib/index.js`))
const resource = 'urn:cardea:test'
const key = (kid) => ({ ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' })
let generation = 1
let asked = 0

function provider (issuer, keys) {
  const client = (client_id, bound) => ({
    client_id, client_secret: 'a secret of the test alone', grant_types: ['client_credentials'], redirect_uris: [],
    response_types: [], id_token_signed_response_alg: 'ES256', token_endpoint_auth_method: 'client_secret_post', tls_client_certificate_bound_access_tokens: bound,
  })
  return new Provider(issuer, {
    jwks: { keys },
    clients: [client('back-end', true), client('plain', false)],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => {
          const peer = ctx.req.socket.getPeerCertificate()
          return peer?.raw ? new X509Certificate(peer.raw) : undefined
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: '', audience: 'cardea', accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    extraTokenClaims: () => ({ groups: ['gate-admin'] }),
  })
}

let handle
const server = createServer({
  key: readFileSync(`${folder}/server.key`), cert: readFileSync(`${folder}/server.pem`), requestCert: true, rejectUnauthorized: false,
}, (request, response) => {
  if (request.url === '/jwks') asked += 1
  handle(request, response)
})
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://localhost:${server.address().port}`
  handle = provider(issuer, [key('key-1')]).callback()
  console.log(`issuer ${issuer}`)
  createInterface({ input: process.stdin }).on('line', (line) => {
    if (line === 'asked') {
      console.log(`asked ${asked}`)
      asked = 0
      return
    }
    handle = provider(issuer, [key(`key-${++generation}`)]).callback()
    console.log(`rotated ${generation}`)
  }).on('close', () => process.exit(0))
})
