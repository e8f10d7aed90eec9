// @ts-nocheck -- as it stands in the uploads document, but for this import
import { stream } from "./stream.js";

import {
  broadcastToUser,
  createUploadProgressMessage,
  createNotificationMessage,
} from '@/lib/websocket'

export async function handler(event: any) {
  const { userId, mocId, s3Key } = JSON.parse(event.body)

  // Send initial progress
  await broadcastToUser(
    userId,
    createUploadProgressMessage(
      mocId,
      'parts-list.csv',
      0,
      'Starting CSV parsing...'
    )
  )

  // Parse CSV with progress updates
  let rowCount = 0
  stream.on('data', async (row) => {
    rowCount++

    // Send progress every 100 rows
    if (rowCount % 100 === 0) {
      await broadcastToUser(
        userId,
        createUploadProgressMessage(
          mocId,
          'parts-list.csv',
          Math.min(50, (rowCount / 10000) * 50),
          `Parsing row ${rowCount}...`,
          rowCount,
          10000
        )
      )
    }
  })

  // Send completion
  await broadcastToUser(
    userId,
    createUploadProgressMessage(
      mocId,
      'parts-list.csv',
      100,
      'CSV parsing complete!'
    )
  )
}
