// What the playground opens with when it stands before the social graph. Every one of them is also a file in examples/.
globalThis.SOCIAL_TABS = [
  {
    query: `# 1. Log in: the token goes into the headers of the other tabs.
mutation LogIn($input: LogInInput!) {
  logIn(input: $input) {
    token
    user { id handle }
  }
}
`,
    variables: '{ "input": { "handle": "alice", "password": "tributary" } }',
  },
  {
    query: `# A profile page in one request, answered by three services.
query ProfilePage($handle: String!, $posts: Int = 20) {
  userByHandle(handle: $handle) {
    id handle displayName bio avatarUrl joinedAt
    followerCount followingCount postCount viewerFollows followsViewer
    posts(first: $posts) {
      edges { node { id body createdAt editedAt likeCount replyCount viewerHasLiked author { id handle displayName } } }
      pageInfo { endCursor hasNextPage }
    }
    followers(first: 10) { edges { node { id handle displayName followerCount } } }
  }
}
`,
    variables: '{ "handle": "alice" }',
  },
  {
    query: `# The posts of the people you follow. Log in first.
query HomeTimeline($first: Int = 20, $after: String) {
  homeTimeline(first: $first, after: $after) {
    edges {
      cursor
      node {
        id body createdAt likeCount replyCount
        author { id handle displayName viewerFollows }
        inReplyTo { id author { handle } }
      }
    }
    pageInfo { endCursor hasNextPage }
  }
}
`,
    variables: '{ "first": 20 }',
  },
  {
    query: `# Log in first.
mutation Publish($input: PublishPostInput!) {
  publishPost(input: $input) { id body author { handle postCount } }
}
`,
    variables: '{ "input": { "body": "Hello from the playground" } }',
  },
  {
    query: `# Log in first. The id of a follower is filled in when ProfilePage has been answered.
mutation Follow($userId: ID!) {
  follow(userId: $userId) { id followerCount viewerFollows }
}
`,
    variables: '{ "userId": "" }',
  },
];
